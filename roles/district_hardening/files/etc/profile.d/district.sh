umask 027
# An idle shell ends after 15 minutes.
if [ -z "${TMOUT-}" ]; then
	readonly TMOUT=900
	export TMOUT
fi
