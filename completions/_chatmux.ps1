
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'chatmux' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'chatmux'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'chatmux' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Whole lines only: no cursor movement, nothing that turns, signs as words (for screen readers and poor terminals)')
            [CompletionResult]::new('--fail-fast', '--fail-fast', [CompletionResultType]::ParameterName, 'Script mode: stop at the first line that is wrong or fails')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('ask', 'ask', [CompletionResultType]::ParameterValue, 'Ask one question; the answer goes to stdout')
            [CompletionResult]::new('sessions', 'sessions', [CompletionResultType]::ParameterValue, 'List sessions')
            [CompletionResult]::new('queue', 'queue', [CompletionResultType]::ParameterValue, 'Show what waits, runs and failed')
            [CompletionResult]::new('stats', 'stats', [CompletionResultType]::ParameterValue, 'Show counts, times and tokens, of all sessions or of one')
            [CompletionResult]::new('work', 'work', [CompletionResultType]::ParameterValue, 'Answer what is queued, without a prompt, until nothing is left')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Show, check or make the configuration')
            [CompletionResult]::new('db', 'db', [CompletionResultType]::ParameterValue, 'Find, check, back up, shrink or salvage the database')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the man page, as roff')
            break
        }
        'chatmux;ask' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;sessions' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;queue' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--dead', '--dead', [CompletionResultType]::ParameterName, 'Only what failed for good, with its reasons')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;stats' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;work' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Go on when nothing is left, and serve what is queued later, until a signal comes')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;config' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print where the file is')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Print what holds, defaults included')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a file with the defaults, unless there is one')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the file')
            break
        }
        'chatmux;config;path' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;config;show' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;config;init' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;config;check' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;db' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print where the database is')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check it, and count what is in it; nothing is changed')
            [CompletionResult]::new('backup', 'backup', [CompletionResultType]::ParameterValue, 'Write a copy of it to a new file, whoever works on it meanwhile')
            [CompletionResult]::new('vacuum', 'vacuum', [CompletionResultType]::ParameterValue, 'Give unused space back')
            [CompletionResult]::new('salvage', 'salvage', [CompletionResultType]::ParameterValue, 'Write what can be read of a damaged database to a new one')
            break
        }
        'chatmux;db;path' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;db;check' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;db;backup' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;db;vacuum' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;db;salvage' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;completions' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'chatmux;man' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Start in that session; a NAME not known yet is created')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model for sessions created from now on')
            [CompletionResult]::new('--db', '--db', [CompletionResultType]::ParameterName, 'The database')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Write what the servers reply to FILE, without keys, for a bug report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object a line on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
