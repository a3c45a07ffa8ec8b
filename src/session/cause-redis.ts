/** Why the store gave no answer: a closed set, fit for a label. ioredis errors carry the command with its arguments, and end here. */
export type StoreCause = 'timeout' | 'closed' | 'loading' | 'readonly' | 'denied' | 'memory' | 'tls' | 'other'

const BY_START: readonly (readonly [string, StoreCause])[] = [
  ['Command timed out', 'timeout'],
  ['Socket timeout', 'timeout'],
  ['connect ETIMEDOUT', 'timeout'],
  ['Connection is closed', 'closed'],
  ["Stream isn't writeable", 'closed'],
  ['Reached the max retries', 'closed'],
  ["Cluster isn't ready", 'closed'],
  ['Cluster is ', 'closed'],
  ['None of startup nodes', 'closed'],
  ['Failed to refresh slots cache', 'closed'],
  ['Too many Cluster redirections', 'loading'],
  ['All sentinels are unreachable', 'closed'],
  ['LOADING', 'loading'],
  ['MASTERDOWN', 'loading'],
  ['CLUSTERDOWN', 'loading'],
  ['READONLY', 'readonly'],
  ['NOAUTH', 'denied'],
  ['NOPERM', 'denied'],
  ['WRONGPASS', 'denied'],
  ['OOM', 'memory'],
]

/** Before version 7, Redis wraps what a command inside a script answers: `ERR Error running script (call to f_…): @user_script:4: @user_script: 4: -READONLY …`. */
const IN_SCRIPT = /^ERR Error running script [^]*?: -(?=[A-Z])/

export const causeOf = (error: unknown): StoreCause => {
  if (!(error instanceof Error)) return 'other'
  const message = error.message.replace(IN_SCRIPT, '')
  const known = BY_START.find(([start]) => message.startsWith(start))
  if (known) return known[1]
  if (error.name === 'MaxRetriesPerRequestError') return 'closed'
  const code: unknown = 'code' in error ? error.code : undefined
  if (typeof code !== 'string') return 'other'
  if (code === 'ETIMEDOUT') return 'timeout'
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) return 'tls'
  return /^E[A-Z]+$/.test(code) ? 'closed' : 'other'
}
