import { GatewayError, problem } from '../domain/problem.ts'

const CONNECTION = new Set([
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EACCES',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EHOSTUNREACH',
])

/** What may be said of an error that ended a command: messages of ours and of the operating system; a library's may hold anything. */
export const describeFailure = (error: unknown): { readonly text: string; readonly isConnection: boolean } => {
  if (error instanceof GatewayError)
    return {
      text: [error.message, problem(error.code).operator].filter(Boolean).join(' '),
      isConnection: error.code.endsWith('.unavailable'),
    }
  if (!(error instanceof Error)) return { text: 'an unexpected failure', isConnection: false }
  const code = 'code' in error && typeof error.code === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(error.code) ? error.code : undefined
  const isSystem = 'syscall' in error && typeof error.syscall === 'string'
  // Node's own text for a failed system call: the call, the code, the address or path.
  if (isSystem) return { text: error.message, isConnection: code !== undefined && CONNECTION.has(code) }
  // Errors of our own rooms carry a `room.reason` code; theirs is a constant message.
  if (code !== undefined && /^[a-z]+\.[a-z-]+$/.test(code))
    return { text: `${code}: ${error.message}`, isConnection: code.endsWith('.unavailable') }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { text: [`${error.name}${code === undefined ? '' : ` ${code}`}`, ...frames.slice(0, 8)].join('\n'), isConnection: false }
}
