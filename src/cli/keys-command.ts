import { instant } from '../kernel/time.ts'
import { rotateKeys } from '../crypto/rotate-keys-file.ts'
import { EXIT, json, UsageError, type Command } from './command.ts'

/** Prints the new key's id, never the key. */
export const keysRotate: Command = {
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
