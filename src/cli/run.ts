import { parseArgs } from 'node:util'
import { EXIT, json, OPTIONS, painter, UsageError, type Command, type ExitCode, type Options, type Shell } from './command.ts'
import { configCommands } from './config-commands.ts'
import { credentialsCommands } from './credentials-command.ts'
import { csrCommand } from './csr-command.ts'
import { demo } from './demo.ts'
import { doctorCommand } from './doctor-command.ts'
import { errorCommand } from './error-command.ts'
import { explain } from './explain.ts'
import { describeFailure } from './failure.ts'
import { keysCommands } from './keys-command.ts'
import { serve } from './serve.ts'
import { sessionsCommands } from './sessions-command.ts'
import { version } from './version.ts'

export const COMMANDS: readonly Command[] = [
  serve,
  demo,
  ...configCommands,
  explain,
  errorCommand,
  ...sessionsCommands,
  ...keysCommands,
  ...credentialsCommands,
  csrCommand,
  doctorCommand,
]

/** @param argv what follows the program's name */
export const run = async (argv: readonly string[], shell: Shell): Promise<ExitCode> => {
  try {
    return await dispatch(argv, shell)
  } catch (error) {
    if (error instanceof UsageError) {
      shell.err(`${painter(shell.colours.err)('bad', 'sallyport:')} ${error.message}\nRun \`sallyport --help\`.\n`)
      return EXIT.usage
    }
    const failure = describeFailure(error)
    shell.err(`${painter(shell.colours.err)('bad', 'sallyport:')} ${failure.text}\n`)
    return failure.isConnection ? EXIT.unreachable : EXIT.findings
  }
}

const dispatch = async (argv: readonly string[], shell: Shell): Promise<ExitCode> => {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => argv[i] === word))
  if (!command) return withoutCommand(argv, shell)
  const { values, positionals } = parsed(argv.slice(command.name.split(' ').length), command)
  if (values.help) {
    shell.out(helpOf(command))
    return EXIT.ok
  }
  if (values.output !== undefined && values.output !== 'json' && values.output !== 'text') throw new UsageError('--output is text or json')
  if (values.port !== undefined && !/^\d{1,5}$/.test(values.port)) throw new UsageError('--port is a number')
  if (values.limit !== undefined && !/^\d{1,6}$/.test(values.limit)) throw new UsageError('--limit is a number')
  const options: Options = {
    subject: values.subject,
    tenant: values.tenant,
    provider: values.provider,
    olderThan: values['older-than'],
    all: values.all ?? false,
    force: values.force ?? false,
    name: values.name,
    days: values.days,
    key: values.key,
    limit: values.limit === undefined ? undefined : Number(values.limit),
    tokenSeconds: tokenSeconds(values['token-seconds']),
    port: values.port === undefined ? undefined : Number(values.port),
    config: values.config,
    dir: values.dir,
    output: values.output ?? 'text',
    strict: values.strict ?? false,
    operands: positionals,
  }
  return command.run(options, shell)
}

interface Values {
  readonly help?: boolean
  readonly config?: string
  readonly dir?: string
  readonly port?: string
  readonly 'token-seconds'?: string
  readonly output?: string
  readonly strict?: boolean
  readonly subject?: string
  readonly tenant?: string
  readonly provider?: string
  readonly 'older-than'?: string
  readonly all?: boolean
  readonly force?: boolean
  readonly name?: string
  readonly days?: string
  readonly key?: string
  readonly limit?: string
}

const tokenSeconds = (given: string | undefined): number | undefined => {
  if (given === undefined) return undefined
  const wanted = /^\d{1,4}$/.test(given) ? Number(given) : 0
  if (wanted < 5 || wanted > 3600) throw new UsageError('--token-seconds is a number from 5 to 3600')
  return wanted
}

/** What parseArgs says may repeat an argument, and an argument may be a secret: only our own words go out. */
const parsed = (args: readonly string[], command: Command): { readonly values: Values; readonly positionals: readonly string[] } => {
  const options = Object.fromEntries(
    command.options.map(
      (name) =>
        [name, OPTIONS[name]].map((part) =>
          typeof part === 'string' ? part : { type: part.type, ...('short' in part && { short: part.short }) },
        ) as [string, { type: 'string' | 'boolean'; short?: string }],
    ),
  )
  const misused = new UsageError(`that is not how \`${command.name}\` is called: sallyport ${command.usage}`)
  // A ref or a thumbprint that begins with a hyphen is put behind `--`: no option of ours has 22 or 43 characters.
  const isRef = (arg: string): boolean => command.operandsAreRefs === true && /^-(?:[\w-]{21}|[\w-]{42})$/.test(arg)
  const ordered = args.some(isRef) ? [...args.filter((arg) => !isRef(arg)), '--', ...args.filter(isRef)] : args
  try {
    const given = parseArgs({ args: [...ordered], options: { ...options, help: { type: 'boolean', short: 'h' } }, allowPositionals: true })
    if (given.positionals.length <= (command.operandsMax ?? 0)) return given
  } catch {
    throw misused
  }
  throw misused
}

const withoutCommand = (argv: readonly string[], shell: Shell): ExitCode => {
  const flags = new Set(argv)
  if (flags.has('--version') || flags.has('-V')) {
    shell.out(argv.includes('json') ? json({ version: version() }) : `sallyport ${version()}\n`)
    return EXIT.ok
  }
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${argv[0]} `))
  if (flags.has('--help') || flags.has('-h') || argv.length === 0) {
    shell.out(helpOfAll(group.length > 0 ? group : COMMANDS))
    return argv.length === 0 ? EXIT.usage : EXIT.ok
  }
  throw new UsageError(
    group.length > 0
      ? `\`${argv[0]}\` takes one of: ${group.map(({ name }) => name.split(' ')[1]).join(', ')}`
      : 'there is no such command',
  )
}

const helpOf = (command: Command): string =>
  [
    `sallyport ${command.usage}`,
    '',
    `  ${command.summary}`,
    '',
    ...command.options.map((name) => `  ${OPTIONS[name].help}`),
    '  --help, -h           this text',
    '',
  ].join('\n')

const helpOfAll = (commands: readonly Command[]): string =>
  [
    'sallyport: the browser holds one cookie, your APIs get access tokens for exactly their audience',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(15)}${summary}`),
    '',
    '  --help after a command tells more; --version tells the version',
    '  exit codes: 0 ok, 1 findings or failure, 2 wrong usage, 3 cannot connect or listen',
    '',
  ].join('\n')
