import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'

const page = readFileSync(new URL('../../docs/storage.md', import.meta.url), 'utf8')
const command = /^ACL SETUSER sallyport [^`]+/m.exec(page)?.[0] ?? ''

/** The commands that docs/storage.md grants: what is tested is what operators copy. */
export const COMMANDS: readonly string[] = command.split(/\s+/).filter((word) => word.startsWith('+'))

/** A user of its own with exactly those rights, on the keys and channels of one prefix. */
export const createLeastUser = async (raw: Redis, prefix: string) => {
  if (COMMANDS.length === 0) throw new Error('docs/storage.md lists no rights')
  const [user, password] = [`u-${prefix}`, randomBytes(12).toString('hex')]
  const scope = ['resetkeys', `~${prefix}:*`, 'resetchannels', `&${prefix}:*`, '-@all']
  await raw.acl('SETUSER', user, 'on', `>${password}`, ...scope, ...COMMANDS)
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-rights-'))
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, `${password}\n`)
  return {
    proof: { username: user, passwordFile },
    remove: async (): Promise<void> => {
      await raw.acl('DELUSER', user)
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
