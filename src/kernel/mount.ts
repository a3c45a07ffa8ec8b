import { lstat, readlink } from 'node:fs/promises'
import { join } from 'node:path'

const TRIES_MAX = 3

/**
 * What is read from a folder, of one version of it. Kubernetes swaps a mount by renaming the symlink `..data`: a read that straddles the swap sees the key
 * of one version and the certificate of the next. So it counts only if the link is the same before and after.
 * @returns undefined: it was swapped at each try; the next look finds it at rest
 */
export const ofOneVersion = async <T>(dir: string, read: () => Promise<T>): Promise<T | undefined> => {
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    const before = await versionOf(dir)
    const seen = await read()
    if ((await versionOf(dir)) === before) return seen
  }
  return undefined
}

/** The link itself, too: one that leads back to where it led before is another. Empty: no such mount. */
const versionOf = async (dir: string): Promise<string> => {
  const link = join(dir, '..data')
  try {
    const { ino, ctimeNs } = await lstat(link, { bigint: true })
    return `${ino} ${ctimeNs} ${await readlink(link)}`
  } catch {
    return ''
  }
}
