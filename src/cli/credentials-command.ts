import type { AdminCredentialOrdered, AdminCredentials, AdminCredentialVerdict } from '../contract/admin.ts'
import type { ProblemDocument } from '../contract/problem-document.ts'
import { adminClient, tellProblem } from './admin-client.ts'
import { EXIT, json, UsageError, type Command, type ExitCode, type Options, type Shell } from './command.ts'
import { labelled, table } from './text-table.ts'

const WIDTH = 140

const status = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  const answer = await client({ path: '/admin/credentials' })
  if (answer.kind === 'problem') return tellProblem(answer.problem, shell)
  const all = answer.value as AdminCredentials
  shell.out(options.output === 'json' ? json(all) : statusText(all, Math.max(80, shell.columns ?? WIDTH)))
  // Something an operator has to do: nothing usable, the one in use rejected, or a file that is no good.
  const isWell = all.ready && all.faults.length === 0 && !all.credentials.some(({ why }) => why === 'in-use-rejected')
  return isWell ? EXIT.ok : EXIT.findings
}

const statusText = ({ ready, credentials, faults }: AdminCredentials, width: number): string => {
  const rows = credentials.map((one) => [one.id.slice(0, 12), one.file || one.setting, one.method, one.state, endOf(one), one.message])
  const notes = credentials.flatMap((one): (readonly [string, string])[] => [
    [one.id.slice(0, 12), one.thumbprint_sha1 === null ? one.method : `SHA-1 ${hex(one.thumbprint_sha1)}`],
    ...(one.thumbprint_sha256 === null ? [] : [['', `SHA-256 ${hex(one.thumbprint_sha256)}`] as const]),
    ...(one.kid === null ? [] : [['', `kid ${one.kid}`] as const]),
    ...(one.rejection === null ? [] : [['', `the provider said ${one.rejection} at ${minuteOf(one.rejected_at)}${againOf(one)}`] as const]),
    ...(one.lost_by_restart ? [['', 'its files are gone: a restart would lose it'] as const] : []),
    ...(one.next_step === null ? [] : [['', `next: ${one.next_step}`] as const]),
  ])
  const wrong = faults.map(({ file, message }): readonly [string, string] => [file, message])
  return [
    credentials.length === 0 ? 'there is no credential\n' : table(['ID', 'FILE', 'METHOD', 'STATE', 'ENDS', 'WHY'], rows, width),
    ...(notes.length === 0 ? [] : [labelled(notes, width, 0)]),
    ...(wrong.length === 0 ? [] : [`not usable:\n${labelled(wrong, width)}`]),
    ...(ready ? [] : ['nothing usable: this replica is not ready\n']),
  ].join('\n')
}

/** As portals write them. */
const hex = (thumbprint: string): string => thumbprint.toUpperCase()
const minuteOf = (iso: string | null): string => (iso === null ? '-' : `${iso.slice(0, 16).replace('T', ' ')}Z`)
const againOf = ({ next_probe_at: at }: AdminCredentials['credentials'][number]): string =>
  at === null ? '' : `; it is asked again at ${minuteOf(at)}`
const endOf = ({ not_after: end, days_left: days }: AdminCredentials['credentials'][number]): string =>
  end === null ? '-' : `${end.slice(0, 10)} (${days} days)`

const named = ({ operands: [name] }: Options): string => {
  if (name === undefined || !/^[\w:-]{8,95}$/.test(name))
    throw new UsageError('which credential? give eight characters or more of its ID or thumbprint, as `credentials status` shows them')
  return encodeURIComponent(name)
}

const HINTS: Readonly<Record<string, string>> = {
  'credential.unknown': '`credentials status` shows the IDs; where two begin alike, give more of it',
  'credential.not-usable': '`credentials status` shows its dates',
  'credential.last-usable': 'have another one accepted first; or stop this one and with it every sign-in and refresh: --force',
}
const tell = (problem: ProblemDocument, shell: Shell): ExitCode => {
  const code = tellProblem(problem, shell)
  const hint = HINTS[problem.code]
  if (hint !== undefined) shell.err(`${hint}\n`)
  return code
}

const verify = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const name = named(options)
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  const answer = await client({ method: 'POST', path: `/admin/credentials/${name}/verify` })
  if (answer.kind === 'problem') return tell(answer.problem, shell)
  const { verdict, code } = answer.value as AdminCredentialVerdict
  const said = { accepted: 'the provider takes it', rejected: 'the provider rejects it', none: 'no verdict' }[verdict]
  const why = code === 'no-probe' ? 'there is nothing to ask this provider with; see provider.credential_rotation.probe' : code
  shell.out(options.output === 'json' ? json({ verdict, code }) : `${said}${why === null ? '' : `: ${why}`}\n`)
  return verdict === 'accepted' ? EXIT.ok : verdict === 'rejected' ? EXIT.findings : EXIT.unreachable
}

const order = async (what: 'promote' | 'withdraw', options: Options, shell: Shell): Promise<ExitCode> => {
  const name = named(options)
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  const path = `/admin/credentials/${name}/${what}`
  const answer = await client({ method: 'POST', path, ...(what === 'withdraw' && { body: { force: options.force } }) })
  if (answer.kind === 'problem') return tell(answer.problem, shell)
  const ordered = answer.value as AdminCredentialOrdered
  shell.out(options.output === 'json' ? json(ordered) : `${orderedText(what, ordered)}\n`)
  return ordered.outcome === 'done' ? EXIT.ok : EXIT.unreachable
}

/** What holds now, where, and what is left to do. */
const orderedText = (what: 'promote' | 'withdraw', { outcome, replicas, missing }: AdminCredentialOrdered): string => {
  const isUsed = what === 'promote'
  const held = isUsed ? 'used' : 'used no more'
  const lines: Readonly<Record<AdminCredentialOrdered['outcome'], readonly string[]>> = {
    done: [`${held} from now on, by ${whoOf(replicas, isUsed)}`],
    unconfirmed: [
      `${held} by this replica, and stored for the others; not confirmed by: ${missing.join(', ') || 'any of them, for the store does not answer'}`,
      `they follow within two seconds of reaching the store; one that cannot reach it ${isUsed ? 'goes on as before' : 'goes on using it'}: do it again until all confirm${isUsed ? '' : ', or end that one'}`,
    ],
    'here-only': [
      `${held} by this replica; the others do not know, for the store does not answer: this one goes on telling them while it runs`,
      'do it again until all confirm',
    ],
  }
  return [...lines[outcome], ...(isUsed ? [] : ['remove it at the provider, and its files everywhere'])].join('\n')
}

const whoOf = (replicas: number, isUsed: boolean): string => {
  if (replicas === 1) return 'this replica, the only one'
  return isUsed ? `those of ${replicas} replicas that have its files` : `all ${replicas} replicas`
}

export const credentialsCommands: readonly Command[] = [
  {
    name: 'credentials status',
    summary: 'show what the gateway proves itself with, in which state and why',
    usage: 'credentials status --config FILE',
    options: ['config', 'output'],
    run: status,
  },
  {
    name: 'credentials verify',
    summary: 'ask the provider whether it takes a credential; changes nothing',
    usage: 'credentials verify --config FILE ID',
    options: ['config', 'output'],
    operandsMax: 1,
    operandsAreRefs: true,
    run: verify,
  },
  {
    name: 'credentials promote',
    summary: 'use a credential from now on, on all replicas',
    usage: 'credentials promote --config FILE ID',
    options: ['config', 'output'],
    operandsMax: 1,
    operandsAreRefs: true,
    run: (options, shell) => order('promote', options, shell),
  },
  {
    name: 'credentials withdraw',
    summary: 'stop a credential at once, on all replicas',
    usage: 'credentials withdraw --config FILE [--force] ID',
    options: ['config', 'force', 'output'],
    operandsMax: 1,
    operandsAreRefs: true,
    run: (options, shell) => order('withdraw', options, shell),
  },
]
