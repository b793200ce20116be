# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_chatmux_global_optspecs
    string join \n s/session= m/model= db= config= record= json color= plain fail-fast h/help V/version
end

function __fish_chatmux_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_chatmux_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_chatmux_using_subcommand
    set -l cmd (__fish_chatmux_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c chatmux -n "__fish_chatmux_needs_command" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_needs_command" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_needs_command" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_needs_command" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_needs_command" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_needs_command" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_needs_command" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_needs_command" -l plain -d 'Whole lines only: no cursor movement, nothing that turns, signs as words (for screen readers and poor terminals)'
complete -c chatmux -n "__fish_chatmux_needs_command" -l fail-fast -d 'Script mode: stop at the first line that is wrong or fails'
complete -c chatmux -n "__fish_chatmux_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_needs_command" -s V -l version -d 'Print version'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "ask" -d 'Ask one question; the answer goes to stdout'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "sessions" -d 'List sessions'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "queue" -d 'Show what waits, runs and failed'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "stats" -d 'Show counts, times and tokens, of all sessions or of one'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "work" -d 'Answer what is queued, without a prompt, until nothing is left'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "config" -d 'Show, check or make the configuration'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "db" -d 'Find, check, back up, shrink or salvage the database'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "completions" -d 'Print the completions for a shell'
complete -c chatmux -n "__fish_chatmux_needs_command" -f -a "man" -d 'Print the man page, as roff'
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand ask" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand sessions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -l dead -d 'Only what failed for good, with its reasons'
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand queue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -l watch -d 'Go on when nothing is left, and serve what is queued later, until a signal comes'
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand work" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -f -a "path" -d 'Print where the file is'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -f -a "show" -d 'Print what holds, defaults included'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -f -a "init" -d 'Write a file with the defaults, unless there is one'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and not __fish_seen_subcommand_from path show init check" -f -a "check" -d 'Check the file'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -f -a "path" -d 'Print where the database is'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -f -a "check" -d 'Check it, and count what is in it; nothing is changed'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -f -a "backup" -d 'Write a copy of it to a new file, whoever works on it meanwhile'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -f -a "vacuum" -d 'Give unused space back'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and not __fish_seen_subcommand_from path check backup vacuum salvage" -f -a "salvage" -d 'Write what can be read of a damaged database to a new one'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from vacuum" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand db; and __fish_seen_subcommand_from salvage" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -s s -l session -d 'Start in that session; a NAME not known yet is created' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -s m -l model -d 'Model for sessions created from now on' -r
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -l db -d 'The database' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -l config -d 'The configuration' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -l record -d 'Write what the servers reply to FILE, without keys, for a bug report' -r -F
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t'On a terminal that can'
always\t'Always'
never\t'Never'"
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -l json -d 'One JSON object a line on stdout'
complete -c chatmux -n "__fish_chatmux_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
