import type { Settings } from '../config/settings.ts'
import type { AdminCredentials, AdminKeys } from '../contract/admin.ts'
import { StartError } from '../kernel/start-error.ts'
import { adminClient, type AdminClient } from './admin-client.ts'
import { EXIT, json, painter, type Command, type ExitCode, type Options, type Shell, type Style } from './command.ts'
import { findingsText, loadConfig } from './config-commands.ts'
import { wrapped } from './text-table.ts'

const WIDTH = 140

/** `bad`: something fails or will by the next restart. `warn`: it wants doing. */
interface Diagnosis {
  readonly level: 'good' | 'warn' | 'bad'
  readonly about: string
  readonly text: string
}

/** What is wrong, or would be after a restart: of the configuration, and of the gateway that runs with it. Changes nothing and asks no provider. */
export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'say what is wrong with the running gateway, and what its restart would lose',
  usage: 'doctor --config FILE',
  options: ['config', 'output'],
  run: async (options, shell) => {
    const loaded = loadConfig(options, shell)
    if (loaded.kind === 'refused') {
      if (options.output === 'json') shell.out(json({ ok: false, findings: loaded.findings }))
      else shell.err(findingsText(loaded.findings, shell.colours.err))
      return EXIT.findings
    }
    const warnings = loaded.warnings.map(
      ({ path, reason, fix }): Diagnosis => ({ level: 'warn', about: path || 'config', text: `${reason}; ${fix}` }),
    )
    const seen = await diagnose(options, shell).catch((error: unknown) => {
      if (error instanceof StartError) return { found: [...asleep(error), ...onePairs(loaded.settings)], exit: EXIT.unreachable }
      throw error
    })
    const all = [...warnings, ...seen.found]
    const isWell = seen.exit === EXIT.ok && !all.some(({ level }) => level === 'bad')
    if (options.output === 'json') shell.out(json({ ok: isWell, findings: all.filter(({ level }) => level !== 'good') }))
    else shell.out(all.map((one) => line(one, shell)).join(''))
    return seen.exit === EXIT.ok && !isWell ? EXIT.findings : seen.exit
  },
}

const diagnose = async (options: Options, shell: Shell): Promise<{ readonly found: readonly Diagnosis[]; readonly exit: ExitCode }> => {
  const client = adminClient(options, shell)
  if (!client) return { found: [], exit: EXIT.findings }
  const credentials = (await valueOf(client, '/admin/credentials')) as AdminCredentials | undefined
  const keys = (await valueOf(client, '/admin/keys')) as AdminKeys | undefined
  const status = (await valueOf(client, '/admin/status')) as Status | undefined
  return {
    found: [
      ...(status ? ofStatus(status) : []),
      ...(credentials ? ofCredentials(credentials) : []),
      ...(keys
        ? ofKeys(keys)
        : [{ level: 'bad', about: 'store', text: 'the store does not answer: nothing is known of the keys' } as const]),
    ],
    exit: keys && credentials ? EXIT.ok : EXIT.unreachable,
  }
}

const asleep = ({ message }: StartError): readonly Diagnosis[] => [{ level: 'bad', about: 'gateway', text: message }]

/** What can be said without a gateway. */
const onePairs = ({
  providers: {
    default: { clientAuth },
  },
}: Settings): readonly Diagnosis[] =>
  clientAuth.flatMap(({ kind }, at): readonly Diagnosis[] =>
    kind === 'certificate-dir' || kind === 'assertion-file'
      ? []
      : [
          {
            level: 'warn',
            about: `provider.client_auth[${at}]`,
            text: 'holds one credential at a time: once it is replaced, a restart loses the one before, whether the provider takes its successor or not',
          },
        ],
  )

const valueOf = async (client: AdminClient, path: string): Promise<unknown> => {
  const answer = await client({ path })
  return answer.kind === 'ok' ? answer.value : undefined
}

interface Status {
  readonly ready?: boolean
  readonly waiting?: readonly string[]
}

const ofStatus = ({ ready, waiting = [] }: Status): readonly Diagnosis[] =>
  ready === false ? [{ level: 'bad', about: 'gateway', text: `not ready; it waits for: ${waiting.join(', ')}` }] : []

/** By a sentence of its own, whatever `credentials status` says beside it. */
const ofCredentials = ({ ready, credentials, faults }: AdminCredentials): readonly Diagnosis[] => {
  const found = credentials.flatMap((one): readonly Diagnosis[] => {
    const about = `credential ${one.id.slice(0, 12)}`
    const next = one.next_step === null ? '' : `; ${one.next_step}`
    const isRejected = one.why === 'in-use-rejected' ? ', and the provider rejects it' : ''
    if (one.lost_by_restart)
      return [{ level: 'bad', about, text: `a restart would lose it: it is in use, and its files are gone${isRejected}${next}` }]
    if (one.why === 'in-use-rejected')
      return [{ level: 'bad', about, text: `the provider rejects it (${one.rejection ?? 'no code'})${next}` }]
    if (one.state !== 'active') return one.why === 'waits-for-registration' ? [{ level: 'warn', about, text: `${one.message}${next}` }] : []
    if (one.days_left !== null && one.days_left < DAYS_WARN) return [{ level: 'warn', about, text: `ends in ${one.days_left} days${next}` }]
    return [{ level: one.unstaged ? 'warn' : 'good', about, text: `${one.message}${next}` }]
  })
  const wrong = faults.map(({ file, message }): Diagnosis => ({ level: 'warn', about: file, text: message }))
  return [
    ...(ready ? [] : [{ level: 'bad', about: 'credential', text: 'nothing usable is there: this replica is not ready' } as const]),
    ...found,
    ...wrong,
  ]
}
const DAYS_WARN = 30

const ofKeys = ({ keys, absent }: AdminKeys): readonly Diagnosis[] => [
  ...absent.map(
    ({ kid, needed_until: until }): Diagnosis => ({
      level: 'bad',
      about: `key ${kid}`,
      text: `missing: sessions sealed with it live until ${until}`,
    }),
  ),
  ...(absent.length === 0 ? [{ level: 'good', about: 'keys', text: `${keys.length}, none missing` } as const] : []),
]

const SIGN: Readonly<Record<Diagnosis['level'], string>> = { good: 'ok  ', warn: 'warn', bad: 'bad ' }
const STYLE: Readonly<Record<Diagnosis['level'], Style>> = { good: 'good', warn: 'warn', bad: 'bad' }
const line = ({ level, about, text }: Diagnosis, shell: Shell): string => {
  const [first = '', ...rest] = wrapped(`${about}: ${text}`, Math.max(80, shell.columns ?? WIDTH) - 6)
  return `${painter(shell.colours.out)(STYLE[level], SIGN[level])}  ${[first, ...rest.map((more) => `      ${more}`)].join('\n')}\n`
}
