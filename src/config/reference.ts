import { dirname, isAbsolute, resolve } from 'node:path'
import type { ConfigCode } from './codes.ts'

/** Where the text of a reference comes from. */
export interface Reference {
  readonly kind: 'env' | 'file'
  /** Variable name, or absolute path. */
  readonly name: string
}

export interface ReferenceSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Throws when the file cannot be read or is larger than 64 KiB. */
  readonly readFile: (path: string) => string
  /** Folder that relative paths start from. */
  readonly dir: string
}

export type Expanded =
  | { readonly kind: 'text'; readonly text: string; readonly references: readonly Reference[] }
  | { readonly kind: 'refused'; readonly code: ConfigCode; readonly reason: string; readonly fix?: string }

const REFERENCE = /\$\{(?:(env):([A-Za-z_][A-Za-z0-9_]*)|(file):([^{}\n]+))\}/g

/** Exactly one reference and nothing else. */
export const isReference = (raw: string): boolean => /^\$\{(?:env:[A-Za-z_][A-Za-z0-9_]*|file:[^{}\n]+)\}$/.test(raw)
/** The source text with its references taken out: what was literally written. */
export const literalPart = (raw: string): string => raw.replace(REFERENCE, '')

/** One pass: what a reference yields is text and is not expanded again. Reasons name the variable or file, never its content. */
export const expand = (raw: string, sources: ReferenceSources): Expanded => {
  if (!raw.includes('${')) return { kind: 'text', text: raw, references: [] }
  if (literalPart(raw).includes('${'))
    return { kind: 'refused', code: 'config.reference-malformed', reason: 'this is not a reference to env or file' }
  const references: Reference[] = []
  let refused: Expanded | undefined
  const text = raw.replace(REFERENCE, (_all, env: string | undefined, name: string, _file: string | undefined, path: string) => {
    if (env !== undefined) {
      references.push({ kind: 'env', name })
      const value = Object.hasOwn(sources.env, name) ? sources.env[name] : undefined
      if (!value)
        refused ??= {
          kind: 'refused',
          code: 'config.env-unset',
          reason: `the environment variable ${name} is not set, or empty`,
          fix: `Set ${name} where the gateway starts.`,
        }
      return value ?? ''
    }
    const absolute = resolvePath(sources.dir, path)
    references.push({ kind: 'file', name: absolute })
    const content = readTrimmed(sources, absolute)
    if (content === undefined)
      refused ??= {
        kind: 'refused',
        code: 'config.reference-unreadable',
        reason: `the file ${printable(absolute)} cannot be read, is empty or too large`,
      }
    return content ?? ''
  })
  return refused ?? { kind: 'text', text, references }
}

/** The one final line break that editors and `echo` leave is not part of the value. */
const readTrimmed = (sources: ReferenceSources, path: string): string | undefined => {
  try {
    return sources.readFile(path).replace(/\r?\n$/, '') || undefined
  } catch {
    return undefined // why (absent, forbidden, a folder) is for the operator to see on the machine; the fix names all of them
  }
}

export const resolvePath = (dir: string, path: string): string => (isAbsolute(path) ? path : resolve(dir, path))
export const folderOf = (file: string): string => dirname(resolve(file))
export const printable = (path: string): string => path.replace(/[^\x20-\x7e\u00a0-\u1fff]/g, '?').slice(0, 300)
