import type { AdminEnd, AdminEnded, AdminSession, AdminSessions } from '../contract/admin.ts'
import { parseDuration } from '../config/units.ts'
import { adminClient, tellProblem, type AdminClient } from './admin-client.ts'
import { EXIT, json, UsageError, type Command, type ExitCode, type Options, type Shell } from './command.ts'
import { labelled, table } from './text-table.ts'

/** Where the terminal does not say. */
const WIDTH = 140
const LIMIT = 100
const LIMIT_MAX = 100_000
/** A store whose servers change all the time lets no scan come to its end. */
const CALLS_MAX = 10_000
const FILTERS = ['subject', 'tenant', 'provider', 'older-than'] as const

const list = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const limit = options.limit ?? LIMIT
  if (limit < 1 || limit > LIMIT_MAX) throw new UsageError(`--limit is a number from 1 to ${LIMIT_MAX}`)
  const filter = filterOf(options)
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  const sessions = new Map<string, AdminSession>()
  let unreadable = 0
  let cursor: string | null = null
  for (let calls = 0; calls < CALLS_MAX && (calls === 0 || (cursor !== null && sessions.size < limit)); calls += 1) {
    const query = new URLSearchParams({ ...filter, limit: String(Math.min(limit, 1_000)), ...(cursor !== null && { cursor }) })
    const answer = await client({ path: `/admin/sessions?${query.toString()}` })
    if (answer.kind === 'problem') return tellProblem(answer.problem, shell)
    const page = answer.value as AdminSessions
    for (const session of page.sessions) sessions.set(session.ref, session)
    unreadable += page.unreadable
    cursor = page.next
  }
  const found = [...sessions.values()].toSorted((a, b) => (a.created_at < b.created_at ? 1 : -1)).slice(0, limit)
  const complete = cursor === null && found.length === sessions.size
  shell.out(options.output === 'json' ? json({ sessions: found, unreadable, complete }) : listText(found, unreadable, complete, shell))
  return EXIT.ok
}

const listText = (sessions: readonly AdminSession[], unreadable: number, complete: boolean, shell: Shell): string => {
  const head = ['REF', 'SUBJECT', 'TENANT', 'CREATED', 'LAST SEEN', 'ENDS', 'BROWSER', 'ADDRESS']
  const now = Date.now()
  const rows = sessions.map((one) => [
    one.ref,
    one.subject,
    one.tenant ?? '-',
    `${ago(now, one.created_at)} ago`,
    `${ago(now, one.last_seen_at)} ago`,
    `in ${ago(Date.parse(one.ends_at), new Date(now).toISOString())}`,
    one.browser,
    one.address,
  ])
  const notes = [
    `${sessions.length} ${sessions.length === 1 ? 'session' : 'sessions'}`,
    ...(complete ? [] : ['there are more: --limit N shows them']),
    ...(unreadable === 0 ? [] : [`${unreadable} cannot be read here: damaged, or sealed with a key that is not in session.keys_dir`]),
  ]
  return `${sessions.length === 0 ? '' : `${table(head, rows, Math.max(80, shell.columns ?? WIDTH))}\n`}${notes.join('; ')}\n`
}

const show = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const ref = refOf(options)
  if (ref === undefined) throw new UsageError('which session? give its REF, as `sessions list` shows it')
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  const answer = await client({ path: `/admin/sessions/${ref}` })
  if (answer.kind === 'problem') return tellProblem(answer.problem, shell)
  const one = answer.value as AdminSession
  const lines = Object.entries(one).map(([name, value]): [string, string] => [name.replaceAll('_', ' '), String(value ?? '-')])
  shell.out(options.output === 'json' ? json(one) : labelled(lines, Math.max(80, shell.columns ?? WIDTH), 0))
  return EXIT.ok
}

const end = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const ref = refOf(options)
  const filter = filterOf(options)
  const ways = [ref !== undefined, Object.keys(filter).length > 0, options.all].filter(Boolean).length
  if (ways !== 1) throw new UsageError('say which sessions to end: one REF, or --subject, --tenant, --provider, --older-than, or --all')
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  return ref === undefined ? endMany(client, options.all ? { all: true } : filter, options, shell) : endOne(client, ref, options, shell)
}

const endOne = async (client: AdminClient, ref: string, options: Options, shell: Shell): Promise<ExitCode> => {
  const answer = await client({ method: 'DELETE', path: `/admin/sessions/${ref}` })
  if (answer.kind === 'problem') {
    if (options.output === 'json') shell.out(json({ outcome: answer.problem.status === 202 ? 'pending' : 'failed' }))
    return tellProblem(answer.problem, shell)
  }
  const { outcome } = answer.value as { readonly outcome: 'ended' | 'absent' }
  const text = outcome === 'ended' ? 'ended the session' : 'there is no such session: it was over already, or never was'
  shell.out(options.output === 'json' ? json({ outcome }) : `${text}\n`)
  return EXIT.ok
}

const endMany = async (client: AdminClient, filter: AdminEnd, options: Options, shell: Shell): Promise<ExitCode> => {
  let ended = 0
  let cursor: string | null = null
  let problem: Parameters<typeof tellProblem>[0] | undefined
  for (let calls = 0; calls < CALLS_MAX && (calls === 0 || cursor !== null); calls += 1) {
    const body: AdminEnd = { ...filter, ...(cursor !== null && { cursor }) }
    const answer = await client({ method: 'POST', path: '/admin/sessions/end', body })
    if (answer.kind === 'problem') {
      problem = answer.problem
      break
    }
    const page = answer.value as AdminEnded
    ended += page.ended
    cursor = page.next
  }
  const complete = problem === undefined && cursor === null
  const count = `ended ${ended} ${ended === 1 ? 'session' : 'sessions'}`
  shell.out(options.output === 'json' ? json({ ended, complete }) : `${count}${complete ? '' : ', and not all: run it again'}\n`)
  if (problem) return tellProblem(problem, shell)
  return complete ? EXIT.ok : EXIT.unreachable
}

const refOf = ({ operands: [ref] }: Options): string | undefined => {
  if (ref !== undefined && !/^[\w-]{22}$/.test(ref))
    throw new UsageError('that is no REF: it has 22 characters, as `sessions list` shows it')
  return ref
}

type Filter = Readonly<Partial<Record<'subject' | 'tenant' | 'provider' | 'created_before', string>>>

const filterOf = ({ subject, tenant, provider, olderThan }: Options): Filter => {
  if ([subject, tenant, provider].includes('')) throw new UsageError('--subject, --tenant and --provider need a value')
  return {
    ...(subject !== undefined && { subject }),
    ...(tenant !== undefined && { tenant }),
    ...(provider !== undefined && { provider }),
    ...(olderThan !== undefined && { created_before: beforeOf(olderThan) }),
  }
}

const beforeOf = (text: string): string => {
  const length = parseDuration(text)
  const at =
    length === undefined ? (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN) : Date.now() - length
  if (Number.isNaN(at)) throw new UsageError('--older-than is a length such as 8h, or a time such as 2026-11-20T10:00:00Z')
  return new Date(at).toISOString()
}

/** Rounded down to its largest unit. */
const ago = (later: number, earlier: string): string => {
  const minutes = Math.max(0, Math.floor((later - Date.parse(earlier)) / 60_000))
  if (minutes < 60) return `${minutes}m`
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)}h` : `${Math.floor(minutes / (24 * 60))}d`
}

/** All of them talk to the running gateway; none ever has a token or a cookie to print. */
export const sessionsCommands: readonly Command[] = [
  {
    name: 'sessions list',
    summary: 'show who is signed in, all or by subject, tenant, provider, age',
    usage: 'sessions list --config FILE [--subject SUB] [--tenant T] [--provider P] [--older-than 8h]',
    options: ['config', ...FILTERS, 'limit', 'output'],
    run: list,
  },
  {
    name: 'sessions show',
    summary: 'show one session',
    usage: 'sessions show --config FILE REF',
    options: ['config', 'output'],
    operandsMax: 1,
    operandsAreRefs: true,
    run: show,
  },
  {
    name: 'sessions end',
    summary: 'end one session, or all of a subject, tenant, provider or age, or all',
    usage: 'sessions end --config FILE REF | [--subject SUB] [--tenant T] [--provider P] [--older-than 8h] | --all',
    options: ['config', ...FILTERS, 'all', 'output'],
    operandsMax: 1,
    operandsAreRefs: true,
    run: end,
  },
]
