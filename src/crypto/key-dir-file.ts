import { createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Instant } from '../kernel/time.ts'
import { instant } from '../kernel/time.ts'
import { isKid } from './keyring.ts'

/** `<kid>.key` and `index.key`: 32 bytes, base64url, a line end allowed. */
export const SUFFIX = '.key'
export const INDEX = 'index'

/** What a directory of keys held at one look. */
export interface SeenKeys {
  readonly keys: ReadonlyMap<string, { readonly key: KeyObject; readonly mtime: Instant }>
  readonly index: KeyObject | undefined
  /** Ids of keys whose files are there but hold no key (yet). */
  readonly unreadable: ReadonlySet<string>
  readonly broken: readonly string[]
  readonly exposed: readonly string[]
}

/**
 * Kubernetes swaps a mounted secret by renaming the symlink `..data`; a read that straddles the swap sees old names and new content, and would
 * report a key as removed that is only moving. So a read counts only if the link is the same before and after.
 */
export const readKeyDir = async (dir: string): Promise<SeenKeys | 'unreadable'> => {
  for (let attempt = 1; ; attempt += 1) {
    const before = await mountOf(dir)
    const seen = await readOnce(dir)
    if ((await mountOf(dir)) === before) return seen
    if (attempt === 3) return 'unreadable'
  }
}

const mountOf = (dir: string): Promise<string | undefined> => realpath(join(dir, '..data')).catch(() => undefined)

const readOnce = async (dir: string): Promise<SeenKeys | 'unreadable'> => {
  const files = await readdir(dir).catch(() => undefined)
  if (!files) return 'unreadable'
  const keys = new Map<string, { key: KeyObject; mtime: Instant }>()
  const unreadable = new Set<string>()
  const broken: string[] = []
  const exposed: string[] = []
  let index: KeyObject | undefined
  for (const file of files.filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.'))) {
    const name = file.slice(0, -SUFFIX.length)
    const read = name === INDEX || isKid(name) ? await readKey(join(dir, file)) : 'broken'
    if (read === 'gone') continue // removed between the listing and the read
    if (read === 'broken') {
      broken.push(file)
      unreadable.add(name)
      continue
    }
    if (read.exposed) exposed.push(file)
    if (name === INDEX) index = read.key
    else keys.set(name, read)
  }
  for (const name of unreadable) if (!isKid(name)) unreadable.delete(name)
  return { keys, index, unreadable, broken, exposed }
}

const readKey = async (path: string): Promise<{ key: KeyObject; mtime: Instant; exposed: boolean } | 'gone' | 'broken'> => {
  try {
    const { mtimeMs, mode, size } = await stat(path)
    const key = size <= 100 ? parseKey(await readFile(path, 'utf8')) : undefined
    // Group-readable is how an fsGroup mount looks; readable by all, or writable by anybody but the owner, is not needed.
    return key ? { key, mtime: instant(Math.floor(mtimeMs)), exposed: (mode & 0o026) !== 0 } : 'broken'
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'gone' : 'broken'
  }
}

/** A half-written file is shorter; one that says something else is no key. */
const parseKey = (content: string): KeyObject | undefined => {
  const text = content.replace(/\r?\n$/, '')
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === 32 && bytes.toString('base64url') === text ? createSecretKey(bytes) : undefined
}
