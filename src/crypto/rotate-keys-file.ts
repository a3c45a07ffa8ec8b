import { link, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Instant } from '../kernel/time.ts'
import { INDEX, SUFFIX } from './key-dir-file.ts'
import { isKid, newKid } from './keyring.ts'
import { randomKey, randomSuffix } from './random.ts'

/**
 * `sallyport keys rotate`: adds a key, and the index key where there is none. Removes nothing: a key may go when the last session sealed with it
 * has ended.
 * @returns the id of the new key
 */
export const rotateKeys = async (dir: string, now: Instant): Promise<{ readonly kid: string; readonly indexCreated: boolean }> => {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const indexCreated = await writeKey(dir, `${INDEX}${SUFFIX}`)
  const ids = (await readdir(dir)).filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length))
  const kid = newKid(now, ids.filter(isKid).sort().at(-1))
  await writeKey(dir, `${kid}${SUFFIX}`)
  return { kid, indexCreated }
}

/** Appears whole or not at all, on disk before it has its name; never replaces (two rotations at once cannot overwrite each other's index key). */
const writeKey = async (dir: string, file: string): Promise<boolean> => {
  // Not named by the process id: in a container that is the same every time, and one crash would block all further rotations.
  const temporary = join(dir, `.${file}.${randomSuffix()}.tmp`)
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(`${randomKey().toString('base64url')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(temporary, join(dir, file))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
}
