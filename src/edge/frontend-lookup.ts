import { realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { Encoding } from './frontend-headers.ts'
import { textTypeOf } from './frontend-headers.ts'

export interface FoundFile {
  /** The folder as it is now: Kubernetes and most deployments swap a link, and the next request follows it. */
  readonly root: string
  /** Relative to `root`, no link in it. */
  readonly file: string
  /** The path that names it, with its leading slash: decides type and caching. */
  readonly name: string
  readonly encoding: Encoding | undefined
}

export interface LookupRules {
  readonly dir: string
  /** Source maps are what the sources were before they were built. */
  readonly sourceMaps?: boolean
}

const SUFFIX: Readonly<Record<Encoding, string>> = { br: '.br', gzip: '.gz' }

/**
 * The file that a canonical path names; a folder names its index. undefined: there is none that may be served. Rejects when the folder itself is gone.
 * @param encodings those the browser takes, the best first
 */
export const findFile = async (rules: LookupRules, path: string, encodings: readonly Encoding[]): Promise<FoundFile | undefined> => {
  const name = decodeURIComponent(path)
  if (isHidden(name) || (!rules.sourceMaps && /\.map(?:\.(?:br|gz))?$/i.test(name))) return undefined
  const root = await realpath(rules.dir)
  if (!name.endsWith('/')) {
    const found = await encoded(root, name, encodings)
    if (found) return found
  }
  return encoded(root, name.endsWith('/') ? `${name}index.html` : `${name}/index.html`, encodings)
}

/** Of what was asked for only: a ConfigMap's files are links through `..data`. */
const isHidden = (name: string): boolean => name.replace(/^\/\.well-known(?=\/|$)/, '').includes('/.')

const encoded = async (root: string, name: string, encodings: readonly Encoding[]): Promise<FoundFile | undefined> => {
  const plain = await within(root, name)
  if (plain === undefined) return undefined // a sibling alone is no file
  for (const encoding of textTypeOf(name) === undefined ? [] : encodings) {
    const file = await within(root, name + SUFFIX[encoding])
    if (file !== undefined) return { root, file, name, encoding }
  }
  return { root, file: plain, name, encoding: undefined }
}

/** Links are followed to their end, and their end must lie in the folder: one that leads elsewhere is no file of the frontend. */
const within = async (root: string, name: string): Promise<string | undefined> => {
  try {
    const real = await realpath(join(root, name))
    if (!real.startsWith(root + sep) || !(await stat(real)).isFile()) return undefined
    return real.slice(root.length + 1)
  } catch {
    return undefined
  }
}
