import type { AdminKeys } from '../contract/admin.ts'
import { readKeyDir } from '../crypto/key-dir-file.ts'
import { rotateKeys } from '../crypto/rotate-keys-file.ts'
import { instant } from '../kernel/time.ts'
import { adminClient, tellProblem } from './admin-client.ts'
import { EXIT, json, UsageError, type Command, type ExitCode, type Options, type Shell } from './command.ts'
import { table } from './text-table.ts'

const WIDTH = 120

/** Prints the new key's id, never the key. */
const keysRotate: Command = {
  name: 'keys rotate',
  summary: 'add a sealing key; the first time, make the folder and the index key',
  usage: 'keys rotate --dir DIR',
  options: ['dir', 'output'],
  run: async (options, shell) => {
    if (!options.dir) throw new UsageError('--dir DIR is missing')
    const { kid, indexCreated } = await rotateKeys(options.dir, instant(Date.now()))
    if (options.output === 'json') shell.out(json({ kid, index_created: indexCreated }))
    else
      shell.out(
        `added key ${kid}${indexCreated ? ' and index.key' : ''}\nIt only opens at first, and seals once it has been present for session.keys_settle.\n`,
      )
    return EXIT.ok
  },
}

const status = async (options: Options, shell: Shell): Promise<ExitCode> => {
  if (options.dir !== undefined) return directoryStatus(options.dir, options, shell)
  const client = adminClient(options, shell)
  if (!client) return EXIT.findings
  const answer = await client({ path: '/admin/keys' })
  if (answer.kind === 'problem') return tellProblem(answer.problem, shell)
  const keys = answer.value as AdminKeys
  shell.out(options.output === 'json' ? json({ source: 'gateway', ...keys }) : statusText(keys, Math.max(80, shell.columns ?? WIDTH)))
  // Whoever signed in under them is signed out, or will be: that is worth more than a line.
  return keys.absent.length > 0 ? EXIT.findings : EXIT.ok
}

const statusText = ({ keys, absent }: AdminKeys, width: number): string => {
  const now = new Date().toISOString()
  const rows = keys.map(({ kid, state, present_since, seals_from, needed_until, may_go_from }) => [
    kid,
    state === 'settling' ? `opens; seals from ${minuteOf(seals_from)}` : state === 'seals' ? 'seals and opens' : 'opens',
    minuteOf(present_since),
    needed_until === null ? 'no session' : minuteOf(needed_until),
    may_go_from === null ? 'no' : may_go_from <= now ? 'now' : `from ${minuteOf(may_go_from)}`,
  ])
  const missing = absent.map(({ kid, needed_until }) => `missing: ${kid}; sessions sealed with it live until ${minuteOf(needed_until)}\n`)
  return [table(['KEY', 'STATE', 'HERE SINCE', 'NEEDED UNTIL', 'MAY GO'], rows, width), ...missing].join(absent.length > 0 ? '\n' : '')
}

const minuteOf = (iso: string | null): string => (iso === null ? '-' : `${iso.slice(0, 16).replace('T', ' ')}Z`)

/** What lies in the folder. What seals, and what is needed, only a running gateway and its store know. */
const directoryStatus = async (dir: string, options: Options, shell: Shell): Promise<ExitCode> => {
  const seen = await readKeyDir(dir)
  if (seen === 'unreadable') {
    shell.err('sallyport: the folder of keys cannot be read\n')
    return EXIT.findings
  }
  const keys = [...seen.keys]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kid, { mtime }]) => ({ kid, file_time: new Date(mtime).toISOString() }))
  const faults = [
    ...(seen.index ? [] : ['index.key is missing: run `sallyport keys rotate`']),
    ...(keys.length > 0 ? [] : ['there is no key: run `sallyport keys rotate`']),
    ...seen.broken.map((file) => `${file} holds no key: 32 bytes, base64url, named <id>.key`),
    ...seen.exposed.map((file) => `${file} is open to others: mode 0400, or 0440 with an fsGroup`),
  ]
  const rows = keys.map(({ kid, file_time }) => [kid, minuteOf(file_time)])
  if (options.output === 'json') shell.out(json({ source: 'directory', keys, faults }))
  else {
    const hint = 'A running gateway tells which one seals and when one may go: keys status --config FILE\n'
    shell.out([table(['KEY', 'FILE TIME'], rows, WIDTH), ...faults.map((fault) => `${fault}\n`), hint].join('\n'))
  }
  return faults.length > 0 ? EXIT.findings : EXIT.ok
}

const keysStatus: Command = {
  name: 'keys status',
  summary: 'show which sealing key seals, and when an old one may go',
  usage: 'keys status --config FILE | --dir DIR',
  options: ['config', 'dir', 'output'],
  run: status,
}

export const keysCommands: readonly Command[] = [keysStatus, keysRotate]
