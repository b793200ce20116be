
use builtin;
use str;

set edit:completion:arg-completer[chatmux] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'chatmux'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'chatmux'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand --plain 'Whole lines only: no cursor movement, nothing that turns, signs as words (for screen readers and poor terminals)'
            cand --fail-fast 'Script mode: stop at the first line that is wrong or fails'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand ask 'Ask one question; the answer goes to stdout'
            cand sessions 'List sessions'
            cand queue 'Show what waits, runs and failed'
            cand stats 'Show counts, times and tokens, of all sessions or of one'
            cand work 'Answer what is queued, without a prompt, until nothing is left'
            cand config 'Show, check or make the configuration'
            cand db 'Find, check, back up, shrink or salvage the database'
            cand completions 'Print the completions for a shell'
            cand man 'Print the man page, as roff'
        }
        &'chatmux;ask'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;sessions'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;queue'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --dead 'Only what failed for good, with its reasons'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;stats'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;work'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --watch 'Go on when nothing is left, and serve what is queued later, until a signal comes'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;config'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand path 'Print where the file is'
            cand show 'Print what holds, defaults included'
            cand init 'Write a file with the defaults, unless there is one'
            cand check 'Check the file'
        }
        &'chatmux;config;path'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;config;show'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;config;init'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;config;check'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;db'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand path 'Print where the database is'
            cand check 'Check it, and count what is in it; nothing is changed'
            cand backup 'Write a copy of it to a new file, whoever works on it meanwhile'
            cand vacuum 'Give unused space back'
            cand salvage 'Write what can be read of a damaged database to a new one'
        }
        &'chatmux;db;path'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;db;check'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;db;backup'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;db;vacuum'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;db;salvage'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;completions'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'chatmux;man'= {
            cand -s 'Start in that session; a NAME not known yet is created'
            cand --session 'Start in that session; a NAME not known yet is created'
            cand -m 'Model for sessions created from now on'
            cand --model 'Model for sessions created from now on'
            cand --db 'The database'
            cand --config 'The configuration'
            cand --record 'Write what the servers reply to FILE, without keys, for a bug report'
            cand --color 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured'
            cand --json 'One JSON object a line on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
    ]
    $completions[$command]
}
