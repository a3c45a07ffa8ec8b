import { isAlias, isMap, isPair, isScalar, isSeq, type Document, type Node } from 'yaml'
import type { ConfigCode } from './codes.ts'
import { pathText, type SettingPath } from './path.ts'
import { expand, isReference, type Reference, type ReferenceSources } from './reference.ts'

/** Offsets into the source, in UTF-16 units. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** One value of the file. */
export interface Entry {
  readonly path: SettingPath
  readonly key: Range | undefined
  readonly value: Range
  /** As written, before references; undefined for lists and mappings. */
  readonly raw: string | undefined
  readonly references: readonly Reference[]
}

/** A key or scalar, for masking. `key` texts are shown by other rules than values. */
export interface SourceSpan extends Range {
  readonly path: SettingPath
  readonly role: 'key' | 'value'
  /** `reference`: exactly a reference, which is no secret itself. `mixed`: a reference among literal text. */
  readonly text: 'literal' | 'reference' | 'mixed' | 'hidden'
}

export interface TreeFault {
  readonly code: ConfigCode
  readonly path: SettingPath
  readonly at: Range
  readonly reason?: string
  readonly fix?: string
  readonly also?: Range
}

/** The file as plain data, and where everything in it stands. */
export interface Tree {
  readonly data: unknown
  readonly entries: ReadonlyMap<string, Entry>
  readonly spans: readonly SourceSpan[]
  readonly faults: readonly TreeFault[]
}

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])
/** Aliases may repeat a part; together with these bounds they cannot explode. */
const NODES_MAX = 50_000
const DEPTH_MAX = 32

/** Walks the YAML nodes itself instead of `toJS()`: references are expanded on scalar values only, and every value keeps its place. */
export const treeOf = (document: Document.Parsed, sources: ReferenceSources): Tree => {
  const entries = new Map<string, Entry>()
  const spans: SourceSpan[] = []
  const faults: TreeFault[] = []
  let nodes = 0
  let tooComplex = false

  const walk = (node: unknown, path: SettingPath, key: Range | undefined, at: Range): unknown => {
    nodes += 1
    if (nodes > NODES_MAX || path.length > DEPTH_MAX) {
      if (!tooComplex) faults.push({ code: 'config.yaml-too-complex', path: [], at })
      tooComplex = true
      return undefined
    }
    const value = rangeOf(node) ?? at
    const enter = (raw?: string, references: readonly Reference[] = []): void => {
      entries.set(pathText(path), { path, key, value, raw, references })
    }
    if (isAlias(node)) {
      const target = node.resolve(document)
      if (target !== undefined) return walk(target, path, key, value)
      faults.push({ code: 'config.yaml-malformed', path, at: value, reason: 'this alias has no anchor' })
      return undefined
    }
    if (isMap(node)) {
      enter()
      return walkMap(node.items, path, value)
    }
    if (isSeq(node)) {
      enter()
      return node.items.map((item, i) => walk(item, [...path, i], undefined, value))
    }
    if (!isScalar(node)) {
      enter()
      return null
    }
    if (typeof node.value !== 'string') {
      enter(String(node.source ?? node.value))
      spans.push({ ...value, path, role: 'value', text: 'literal' })
      return typeof node.value === 'number' || typeof node.value === 'boolean' ? node.value : null
    }
    const expanded = expand(node.value, sources)
    spans.push({
      ...value,
      path,
      role: 'value',
      text: isReference(node.value) ? 'reference' : node.value.includes('${') ? 'mixed' : 'literal',
    })
    enter(node.value, expanded.kind === 'text' ? expanded.references : [])
    if (expanded.kind === 'text') return expanded.text
    faults.push({ path, at: value, code: expanded.code, reason: expanded.reason, ...(expanded.fix !== undefined && { fix: expanded.fix }) })
    return undefined
  }

  const walkMap = (items: readonly unknown[], path: SettingPath, at: Range): unknown => {
    const out: Record<string, unknown> = {}
    const seen = new Map<string, Range>()
    for (const pair of items) {
      if (!isPair(pair)) continue
      const keyAt = rangeOf(pair.key) ?? at
      const name = keyText(pair.key)
      if (name === undefined || name.includes('${') || FORBIDDEN.has(name)) {
        faults.push({
          code: 'config.key-forbidden',
          path,
          at: keyAt,
          reason:
            name === undefined
              ? 'a key must be a plain name'
              : name.includes('${')
                ? 'references stand for values, never for keys'
                : 'this key is never allowed',
        })
        walkHidden(pair.key, pair.value, path)
        continue
      }
      const here = [...path, name]
      spans.push({ ...keyAt, path: here, role: 'key', text: 'literal' })
      const first = seen.get(name)
      if (first) {
        faults.push({ code: 'config.key-duplicate', path: here, at: keyAt, also: first })
        walkHidden(undefined, pair.value, here)
        continue
      }
      seen.set(name, keyAt)
      out[name] = walk(pair.value, here, keyAt, keyAt)
    }
    return out
  }

  /** What is not taken over still stands on source lines: its scalars are marked, so that excerpts mask them. */
  const walkHidden = (key: unknown, value: unknown, path: SettingPath): void => {
    for (const node of [key, value]) {
      const range = rangeOf(node)
      if (range) spans.push({ ...range, path, role: 'value', text: 'hidden' })
    }
  }

  const data = walk(document.contents, [], undefined, { start: 0, end: 0 })
  return { data: tooComplex ? {} : data, entries, spans, faults }
}

/** `8080: x` and `true: x` are names as well; undefined: no plain name at all. */
const keyText = (node: unknown): string | undefined => {
  const value = isScalar(node) ? node.value : undefined
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? `${value}` : undefined
}

const rangeOf = (node: unknown): Range | undefined => {
  const range = typeof node === 'object' && node !== null ? (node as Partial<Node>).range : undefined
  return range ? { start: range[0], end: Math.max(range[0], range[1]) } : undefined
}
