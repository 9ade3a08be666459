%% Erlang/OTP's ssh_sftpd: PORT USER PASSWORD. The folder of the process is the root.
main([Port, User, Password]) ->
    {ok, _} = application:ensure_all_started(ssh),
    {ok, Root} = file:get_cwd(),
    {ok, _} = ssh:daemon({127, 0, 0, 1}, list_to_integer(Port), [
        {system_dir, "/vendor"},
        {user_passwords, [{User, Password}]},
        {auth_methods, "password"},
        {subsystems, [ssh_sftpd:subsystem_spec([{root, Root}])]}
    ]),
    timer:sleep(infinity).
