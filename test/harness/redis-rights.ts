import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'

const page = readFileSync(new URL('../../docs/storage.md', import.meta.url), 'utf8')
const [atServers = '', atSentinels = ''] = [...page.matchAll(/^ACL SETUSER sallyport [^`]+/gm)].map(([rule]) => rule)

/** The commands that docs/storage.md grants: what is tested is what operators copy. */
export const COMMANDS: readonly string[] = atServers.split(/\s+/).filter((word) => word.startsWith('+'))

/** What follows the password there for a user at the sentinels. */
export const SENTINEL_RIGHTS: string = atSentinels.split('>…')[1]?.trim() ?? ''

/** A user of its own with exactly those rights at each of the servers, on the keys and channels of one prefix. */
export const createLeastUser = async (servers: readonly Redis[], prefix: string) => {
  if (COMMANDS.length === 0) throw new Error('docs/storage.md lists no rights')
  const [user, password] = [`u-${prefix}`, randomBytes(12).toString('hex')]
  const scope = ['resetkeys', `~${prefix}:*`, 'resetchannels', `&${prefix}:*`, '-@all']
  for (const raw of servers) await raw.acl('SETUSER', user, 'on', `>${password}`, ...scope, ...COMMANDS)
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-rights-'))
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, `${password}\n`)
  return {
    proof: { username: user, passwordFile },
    remove: async (): Promise<void> => {
      for (const raw of servers) await raw.acl('DELUSER', user)
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
