import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { buildSettings } from './build.ts'
import { check } from './check.ts'
import { checkSource } from './check-source.ts'
import { CONFIG_CODES } from './codes.ts'
import { placeText, type Finding } from './finding.ts'
import { remarksOf } from './issues.ts'
import { FILE_BYTES_MAX, parseSource } from './parse.ts'
import { pathText, valueAt } from './path.ts'
import { folderOf, printable, type ReferenceSources } from './reference.ts'
import type { Remark, Report } from './report.ts'
import { settingsSchema, type Parsed } from './schema.ts'
import type { Settings } from './settings.ts'
import type { Entry, Tree } from './tree.ts'
import type { LineCounter } from 'yaml'

/** Where a value came from. `written` is the text as it stands in the file: a reference, never what it yields. */
export interface Origin {
  readonly written: string
  /** `file:line:column` of the setting. */
  readonly place: string
  readonly references: readonly { readonly kind: 'env' | 'file'; readonly name: string }[]
}

export type Loaded =
  | {
      readonly kind: 'ok'
      readonly settings: Settings
      /** By path, such as `routes[0].path`; what is not named here has its default. */
      readonly origins: ReadonlyMap<string, Origin>
      readonly warnings: readonly Finding[]
      /** The file as data with references unexpanded: what `config print` shows. */
      readonly written: unknown
    }
  | { readonly kind: 'refused'; readonly findings: readonly Finding[] }

export interface LoadRequest {
  /** Path of the file; with `text`, only its name in messages and the start of relative paths. */
  readonly file: string
  readonly text?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** For `${file:…}`; throws when unreadable. */
  readonly readFile?: (path: string) => string
}

const REFERENCE_BYTES_MAX = 64 * 1024

/** Reads, expands, validates and cross-checks one configuration file. Offline; never throws for what is in it; nothing it answers holds a secret but `settings`. */
export const loadSettings = (request: LoadRequest): Loaded => {
  const text = request.text ?? readBounded(request.file, FILE_BYTES_MAX + 1)
  if (text === undefined) return { kind: 'refused', findings: [unreadable(request.file)] }
  const dir = folderOf(request.file)
  const sources: ReferenceSources = { env: request.env, dir, readFile: request.readFile ?? readReference }
  const { tree, report, findings, lines } = parseSource(printable(request.file), text, sources)
  // Broken YAML, or too much of it: whatever else could be said is guesswork.
  const isUnread = tree.faults.length === 0 || tree.faults.some((fault) => fault.code === 'config.yaml-too-complex')
  if (findings.length > 0 && isUnread) return { kind: 'refused', findings }
  checkSource(tree, report)
  const { parsed, thinned } = validate(tree, report)
  // A reference that failed left a hole: what seems to contradict it would be guesswork. So would "no condition" where an unknown one was taken out.
  if (parsed && tree.faults.length === 0)
    check(parsed, (remark) => {
      if (remark.code !== 'config.allow-choice' || !thinned.has(pathText(remark.path))) report(remark)
    })
  const errors = findings.filter((finding) => finding.severity === 'error')
  if (errors.length > 0 || !parsed) return { kind: 'refused', findings: inOrder(findings) }
  return {
    kind: 'ok',
    settings: buildSettings(parsed, dir),
    origins: originsOf(tree, lines, printable(request.file)),
    warnings: inOrder(findings),
    written: writtenOf(tree),
  }
}

interface Validated {
  readonly parsed: Parsed | undefined
  /** Mappings that an unknown key was taken out of. */
  readonly thinned: ReadonlySet<string>
}

/** Reports what the schema refuses. Unknown keys are taken out once, so that the cross-field checks can speak in the same run. */
const validate = (tree: Tree, report: Report): Validated => {
  const data = tree.data ?? {}
  const thinned = new Set<string>()
  const first = settingsSchema.safeParse(data)
  if (first.success) return { parsed: first.data, thinned }
  // What a reference failed to yield is not also missing.
  const failed = new Set(tree.faults.map((fault) => pathText(fault.path)))
  for (const remark of remarksOf(first.error.issues, data)) if (!failed.has(pathText(remark.path))) report(withoutEcho(remark, tree))
  const unknown = first.error.issues.filter((issue) => issue.code === 'unrecognized_keys')
  if (unknown.length < first.error.issues.length) return { parsed: undefined, thinned }
  for (const issue of unknown) {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)))
    const owner = valueAt(data, path)
    thinned.add(pathText(path))
    if (typeof owner === 'object' && owner !== null) for (const key of issue.keys) Reflect.deleteProperty(owner, key)
  }
  return { parsed: settingsSchema.safeParse(data).data, thinned }
}

/** A fix may quote the value it corrects (one of the wrong type has none); what came through a reference is never repeated. */
const withoutEcho = ({ fix, ...rest }: Remark, tree: Tree): Remark =>
  fix === undefined || (rest.code !== 'config.value-type' && (tree.entries.get(pathText(rest.path))?.references.length ?? 0) > 0)
    ? rest
    : { ...rest, fix }

const inOrder = (findings: readonly Finding[]): readonly Finding[] =>
  findings.toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column)

const readBounded = (path: string, most: number): string | undefined => {
  try {
    const { size } = regularFile(path)
    return size > most ? ' '.repeat(most) : readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** A pipe or device has no size to bound before reading. */
const regularFile = (path: string): { readonly size: number } => {
  const stat = statSync(path)
  if (!stat.isFile()) throw new Error('not a regular file')
  return stat
}

const readReference = (path: string): string => {
  if (regularFile(path).size > REFERENCE_BYTES_MAX) throw new Error('the file of a reference is too large')
  return readFileSync(path, 'utf8')
}

const unreadable = (file: string): Finding => ({
  code: 'config.file-unreadable',
  severity: 'error',
  path: '',
  reason: `the configuration file ${printable(resolve(file))} cannot be read`,
  fix: CONFIG_CODES['config.file-unreadable'].fix,
  place: { file: printable(file), line: 1, column: 1 },
  excerpt: undefined,
  also: undefined,
})

const originsOf = (tree: Tree, lines: LineCounter, file: string): ReadonlyMap<string, Origin> =>
  new Map(
    [...tree.entries.values()]
      .filter((entry): entry is Entry & { raw: string } => entry.raw !== undefined)
      .map((entry) => {
        const { line, col } = lines.linePos(entry.value.start)
        return [pathText(entry.path), { written: entry.raw, place: placeText({ file, line, column: col }), references: entry.references }]
      }),
  )

/** The tree's data with each interpolated value as it was written. */
const writtenOf = (tree: Tree): unknown => {
  const visit = (value: unknown, path: readonly (string | number)[]): unknown => {
    const entry = tree.entries.get(pathText(path))
    if (entry?.raw !== undefined && entry.references.length > 0) return entry.raw
    if (Array.isArray(value)) return value.map((item, i) => visit(item, [...path, i]))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, visit(child, [...path, key])]))
  }
  return visit(tree.data ?? {}, [])
}
