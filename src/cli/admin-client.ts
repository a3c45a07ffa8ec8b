import { request } from 'node:http'
import type { ProblemDocument } from '../contract/problem-document.ts'
import { StartError } from '../kernel/start-error.ts'
import { EXIT, UsageError, type ExitCode, type Options, type Shell } from './command.ts'
import { findingsText, loadConfig } from './config-commands.ts'

/** Longer than the gateway takes for the most it does in one call, and as long as the store may keep it waiting. */
const PATIENCE_MS = 30_000
const ANSWER_BYTES_MAX = 32 * 1024 * 1024

export interface AdminCall {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly body?: unknown
}
/** 202 is among the problems: the gateway has taken the command and could not finish it. */
export type AdminAnswer = { readonly kind: 'ok'; readonly value: unknown } | { readonly kind: 'problem'; readonly problem: ProblemDocument }
export type AdminClient = (call: AdminCall) => Promise<AdminAnswer>

/**
 * The running gateway of this configuration, through its admin socket.
 * @returns undefined when the configuration does not load; what is wrong with it has been said then
 * @throws UsageError when it has no admin listener
 */
export const adminClient = (options: Options, shell: Shell): AdminClient | undefined => {
  const loaded = loadConfig(options, shell)
  if (loaded.kind === 'refused') {
    shell.err(findingsText(loaded.findings, shell.colours.err))
    return undefined
  }
  const { admin } = loaded.settings.listen
  if (admin === 'off' || admin.kind !== 'unix') throw new UsageError('listen.admin is off in this configuration: there is nobody to ask')
  return (call) => ask(admin.path, call)
}

/** @throws StartError `admin.unavailable`, which becomes exit code 3 */
const ask = (socketPath: string, { method = 'GET', path, body }: AdminCall): Promise<AdminAnswer> =>
  new Promise((resolve, reject) => {
    const unavailable = (what: string): void => reject(new StartError('admin.unavailable', `${what}: ${socketPath}`))
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = { host: 'localhost', ...(text !== undefined && { 'content-type': 'application/json' }) }
    const outgoing = request({ socketPath, method, path, headers, agent: false, signal: AbortSignal.timeout(PATIENCE_MS) }, (incoming) => {
      const chunks: Buffer[] = []
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= ANSWER_BYTES_MAX) chunks.push(chunk)
        else outgoing.destroy()
      })
      incoming.on('error', () => unavailable('the gateway’s answer broke off on listen.admin'))
      incoming.on('end', () => {
        const value = parsed(Buffer.concat(chunks).toString('utf8'))
        if (incoming.statusCode === 200 && value !== undefined) return resolve({ kind: 'ok', value })
        if (isProblem(value)) return resolve({ kind: 'problem', problem: value })
        unavailable('whatever answers on listen.admin is not this gateway')
      })
    })
    // A socket that is not there, one that a gateway which died left behind, one of another user, a gateway that hangs.
    outgoing.on('error', () => unavailable('no gateway answers on listen.admin'))
    outgoing.end(text)
  })

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isProblem = (value: unknown): value is ProblemDocument =>
  typeof value === 'object' && value !== null && 'code' in value && typeof value.code === 'string' && 'title' in value && 'status' in value

/** Says a problem, and which exit code that is: 3 where the store is away or the command waits for it, else 1. */
export const tellProblem = ({ code, title, status }: ProblemDocument, shell: Shell): ExitCode => {
  const isAway = status === 503 || status === 202
  shell.err(`sallyport: ${code}: ${isAway ? AWAY[status] : title}\n`)
  return isAway ? EXIT.unreachable : EXIT.findings
}

const AWAY = {
  503: 'the gateway runs, but its store does not answer; see session.store',
  202: 'the store does not answer; this replica serves the session no more and goes on trying to end it',
} as const
