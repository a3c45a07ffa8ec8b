/** Everything a command may touch of the process, so that tests can be the process. */
export interface Shell {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Colours are wanted on this stream: a terminal, and NO_COLOR (no-color.org) is not set. */
  readonly colours: { readonly out: boolean; readonly err: boolean }
  /** Of the terminal; absent where there is none. */
  readonly columns?: number | undefined
}

/** Stable: scripts depend on them. */
export const EXIT = { ok: 0, findings: 1, usage: 2, unreachable: 3 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export interface Options {
  readonly config: string | undefined
  readonly dir: string | undefined
  readonly port: number | undefined
  readonly tokenSeconds: number | undefined
  readonly output: 'text' | 'json'
  readonly strict: boolean
  readonly subject: string | undefined
  readonly tenant: string | undefined
  readonly provider: string | undefined
  readonly olderThan: string | undefined
  readonly all: boolean
  readonly force: boolean
  readonly name: string | undefined
  readonly days: string | undefined
  readonly key: string | undefined
  readonly limit: number | undefined
  /** What is no option, in order. */
  readonly operands: readonly string[]
}

export interface Command {
  /** As typed, such as `config check`. */
  readonly name: string
  readonly summary: string
  readonly usage: string
  /** Of its own, beside `--help`. */
  readonly options: readonly (keyof typeof OPTIONS)[]
  /** How many operands it takes at most; none unless set. */
  readonly operandsMax?: number
  /** Session refs: one in 64 begins with a hyphen, and is an operand all the same. */
  readonly operandsAreRefs?: boolean
  readonly run: (options: Options, shell: Shell) => Promise<ExitCode>
}

export const OPTIONS = {
  config: { type: 'string', short: 'c', help: '--config, -c FILE    the configuration file; or SALLYPORT_CONFIG' },
  dir: { type: 'string', help: '--dir DIR            the folder of session.keys_dir, or of certificate_dir' },
  port: { type: 'string', help: '--port PORT          the wished port; another is taken when it is in use' },
  'token-seconds': { type: 'string', help: '--token-seconds N    how long access tokens hold; 5 to 3600' },
  strict: { type: 'boolean', help: '--strict             warnings count as findings' },
  subject: { type: 'string', help: '--subject SUB        of this subject: the `sub` of the ID token; of a certificate: its common name' },
  tenant: { type: 'string', help: '--tenant T           of this tenant' },
  provider: { type: 'string', help: '--provider P         of this provider, by its name in the settings' },
  'older-than': { type: 'string', help: '--older-than LENGTH  signed in before: a length such as 8h, or a time such as 2026-11-20T10:00Z' },
  all: { type: 'boolean', help: '--all                every session' },
  name: { type: 'string', help: '--name NAME          of the files, without an ending' },
  days: { type: 'string', help: '--days DAYS          sign it itself, for so long' },
  key: { type: 'string', help: '--key KIND           rsa (default) or ec' },
  force: { type: 'boolean', help: '--force              also the last usable one' },
  limit: { type: 'string', help: '--limit N            at most so many; 100' },
  output: { type: 'string', short: 'o', help: '--output, -o FORMAT  text (default) or json' },
} as const

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** What the user typed cannot be run; the message holds nothing but names of ours. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export type Style = 'bad' | 'warn' | 'good' | 'dim'
const SGR: Readonly<Record<Style, string>> = { bad: '31', warn: '33', good: '32', dim: '2' }
export const painter =
  (coloured: boolean) =>
  (style: Style, text: string): string =>
    coloured ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text
