import { stringify } from 'yaml'
import { jsonSchema, type JsonSchema } from './json-schema.ts'
import type { Origin } from './load.ts'
import { pathText, type SettingPath } from './path.ts'
import { isReference } from './reference.ts'

type Scalar = string | number | boolean | null
/** The configuration as it takes effect: the file's values and the defaults of the rest. Holds references, never what they yield. */
export type Effective =
  | { readonly kind: 'map'; readonly entries: readonly (readonly [string, Effective])[] }
  | { readonly kind: 'list'; readonly items: readonly Effective[]; readonly from: string }
  | { readonly kind: 'scalar'; readonly value: Scalar; readonly from: string }

export const effective = (written: unknown, origins: ReadonlyMap<string, Origin>): Effective => node(jsonSchema(), written, [], origins)

const node = (schema: JsonSchema, data: unknown, path: SettingPath, origins: ReadonlyMap<string, Origin>): Effective => {
  const at = branchFor(schema, data)
  const value = data === undefined ? at.default : data
  const from = data === undefined ? 'default' : originText(origins.get(pathText(path)))
  if (Array.isArray(value)) {
    const items = value.map((item, i) =>
      data === undefined
        ? { kind: 'scalar' as const, value: scalarOf(item), from: 'default' }
        : node(at.items ?? {}, item, [...path, i], origins),
    )
    const first = data === undefined ? 'default' : originText(origins.get(pathText([...path, 0])))
    return { kind: 'list', items, from: first }
  }
  if (typeof value === 'object' && value !== null) {
    const properties = at.properties ?? {}
    // In the schema's order, then what it names by pattern only (claim names).
    const keys = [...new Set([...Object.keys(properties), ...Object.keys(value)])]
    const entries = keys.flatMap((key): [string, Effective][] => {
      const child: unknown = Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
      const rule = Object.hasOwn(properties, key) ? (properties[key] ?? {}) : {}
      return child === undefined && rule.default === undefined ? [] : [[key, node(rule, child, [...path, key], origins)]]
    })
    return { kind: 'map', entries }
  }
  const secret = at['x-secret'] === true && !(typeof value === 'string' && isReference(value))
  return { kind: 'scalar', value: secret ? '[secret]' : scalarOf(value), from }
}

const scalarOf = (value: unknown): Scalar =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null

const branchFor = (schema: JsonSchema, data: unknown): JsonSchema => {
  if (!schema.anyOf || typeof data !== 'object' || data === null) return schema
  return schema.anyOf.find((branch) => (Array.isArray(data) ? branch.items : branch.properties) !== undefined) ?? schema
}

const originText = (origin: Origin | undefined): string => {
  if (!origin) return 'file'
  const refs = origin.references.map((reference) => `${reference.kind} ${reference.name}`)
  return [...refs, origin.place.replace(/:\d+$/, '')].join(', ')
}

/** YAML with a comment behind every value: where it came from. */
export const effectiveYaml = (root: Effective): string => {
  const lines = render(root, '')
  const width = Math.min(64, Math.max(0, ...lines.map((line) => line.text.length)))
  return `${lines.map(({ text, from }) => (from === undefined ? text : `${text.padEnd(width)}  # ${from}`)).join('\n')}\n`
}

interface Line {
  readonly text: string
  readonly from?: string
}

const render = (at: Effective, indent: string): readonly Line[] => {
  if (at.kind !== 'map') return [{ text: `${indent}${inline(at)}`, from: at.from }]
  return at.entries.flatMap(([name, child]): readonly Line[] => {
    const key = `${indent}${scalarText(name, false)}:`
    if (child.kind === 'map') return child.entries.length === 0 ? [{ text: `${key} {}` }] : [{ text: key }, ...render(child, `${indent}  `)]
    if (child.kind === 'scalar' || child.items.every((item) => item.kind === 'scalar'))
      return [{ text: `${key} ${inline(child)}`, from: child.from }]
    return [{ text: key }, ...child.items.flatMap((item) => entryLines(item, `${indent}  `))]
  })
}

const entryLines = (item: Effective, indent: string): readonly Line[] =>
  render(item, `${indent}  `).map((line, i) => (i === 0 ? { ...line, text: `${indent}- ${line.text.slice(indent.length + 2)}` } : line))

const inline = (at: Exclude<Effective, { kind: 'map' }>): string =>
  at.kind === 'scalar'
    ? scalarText(at.value, false)
    : `[${at.items.map((item) => (item.kind === 'scalar' ? scalarText(item.value, true) : '…')).join(', ')}]`

const scalarText = (value: Scalar, inFlow: boolean): string => {
  if (typeof value === 'string' && (/[\p{Cc}#]/u.test(value) || (inFlow && /[,[\]{}]/.test(value)))) return JSON.stringify(value)
  return stringify(value, { lineWidth: 0 }).trimEnd()
}

/** Flat, for `-o json`. */
export const effectiveList = (
  at: Effective,
  path: SettingPath = [],
): readonly { readonly path: string; readonly value: Scalar; readonly from: string }[] => {
  if (at.kind === 'scalar') return [{ path: pathText(path), value: at.value, from: at.from }]
  if (at.kind === 'map') return at.entries.flatMap(([key, child]) => effectiveList(child, [...path, key]))
  return at.items.flatMap((child, i) => effectiveList(child, [...path, i]))
}
