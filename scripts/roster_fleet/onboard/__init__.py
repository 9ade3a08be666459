"""New districts: from an operator's answers to the files of an inventory."""
