import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'vitest/node'

/**
 * Checks docs/conformance.md: each requirement has its row, each row its tests, and each test that is named is there, under that very name.
 * `npm run conformance`; part of `npm run check`, and of the unit tests, which break it once in each way.
 */
const DOCUMENT = 'docs/conformance.md'

const range = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, n) => String(from + n))

/** By the title of their section; a section is found by how its heading begins. */
export const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  A: range(1, 20),
  B: range(26, 41),
  C: range(46, 61),
  D: [...range(63, 66), ...range(68, 78), '81', '82'],
  E: [...range(83, 89), ...range(91, 93), '95', '96'],
  F: [...range(97, 99), ...range(101, 111)],
  G: range(113, 120),
  H: [...range(121, 134), '136', '137'],
  'RFC 10017': ['6.1.2.1', '6.1.2.2', '6.1.2.3', '6.1.3.1', '6.1.3.2', '6.1.3.3', '6.1.3.6'],
  'ASVS 5.0 V7': [
    ...['7.1.1', '7.1.2', '7.1.3', '7.2.1', '7.2.2', '7.2.3', '7.2.4', '7.3.1', '7.3.2', '7.4.1', '7.4.2', '7.4.3', '7.4.4', '7.4.5'],
    ...['7.5.1', '7.5.2', '7.5.3', '7.6.1', '7.6.2'],
  ],
}
/** Sections whose rows each name a test in test/attack. */
const ATTACKED: ReadonlySet<string> = new Set(['A', 'D', 'E', 'H'])

interface Row {
  readonly section: string
  readonly id: string
  readonly text: string
}

/** `path › "title"` or `path › "describe › title"`; a title of `it.each` is written as it stands in the source. */
const REFERENCE = /`([\w./-]+) › "([^"`]+)"`/g
const LINK = /\]\(([^)\s]+)\)/g

/** @returns what is wrong, one sentence each; empty: all is well. @param read a file of the repository; undefined: there is none */
export const faultsOf = (document: string, read: (path: string) => string | undefined): readonly string[] => {
  const rows = rowsOf(document)
  const missing = Object.entries(REQUIRED).flatMap(([section, ids]) =>
    ids.flatMap((id) => {
      const found = rows.filter((row) => row.section === section && row.id === id).length
      return found === 1 ? [] : [`${section} ${id}: ${found === 0 ? 'has no row' : `has ${found} rows`}`]
    }),
  )
  const titles = new Map<string, readonly Titled[] | undefined>()
  const titlesIn = (path: string): readonly Titled[] | undefined => {
    if (!titles.has(path)) titles.set(path, titlesOf(read(path), path))
    return titles.get(path)
  }
  const inRows = rows.flatMap(({ section, id, text }) => {
    const named = [...text.matchAll(REFERENCE)].map(([, path = '', title = '']) => ({ path, title }))
    const links = [...text.matchAll(LINK)]
    const isAttacked = ATTACKED.has(section) && REQUIRED[section]?.includes(id) === true
    const needs = isAttacked ? named.some(({ path }) => path.startsWith('test/attack/')) : named.length + links.length > 0
    return [
      ...(needs ? [] : [`${section} ${id}: names no test${isAttacked ? ' in test/attack' : ' and no page'}`]),
      ...(text.split('›').length - 1 > named.reduce((sum, { title }) => sum + title.split('›').length, 0)
        ? [`${section} ${id}: a reference is malformed`]
        : []),
      ...named.flatMap(({ path, title }) => {
        const tree = titlesIn(path)
        if (!tree) return [`${section} ${id}: there is no ${path}`]
        const found = find(tree, title.split(' › '))
        if (!found) return [`${section} ${id}: ${path} has no test "${title}"`]
        return found.isSkipped ? [`${section} ${id}: "${title}" is skipped`] : []
      }),
    ]
  })
  const dead = [...document.matchAll(LINK)].flatMap(([, target = '']) => {
    if (/^https?:/.test(target)) return []
    const [file = '', anchor] = target.split('#')
    const path = file === '' ? DOCUMENT : normalize(join(dirname(DOCUMENT), file))
    const text = file === '' ? document : read(path)
    if (text === undefined) return [`a link leads to ${path}, which is not there`]
    return anchor === undefined || anchorsOf(text).has(anchor) ? [] : [`a link leads to #${anchor} of ${path}, which is not there`]
  })
  return [...missing, ...inRows, ...dead]
}

const rowsOf = (document: string): readonly Row[] => {
  const rows: Row[] = []
  let section = ''
  for (const line of document.split('\n')) {
    const heading = /^## (.*)$/.exec(line)?.[1]
    if (heading !== undefined)
      section =
        Object.keys(REQUIRED).find(
          (name) => heading === name || (/^[.:, ]/.test(heading.slice(name.length)) && heading.startsWith(name)),
        ) ?? ''
    const id = /^\| ([\d.]+) \|/.exec(line)?.[1]
    if (id !== undefined && section !== '') rows.push({ section, id, text: line })
  }
  return rows
}

/** As hosts of repositories make them of headings. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )

interface Titled {
  readonly title: string
  readonly isSkipped: boolean
  readonly inside: readonly Titled[]
}

/** A path of titles may leave out the outer ones, not those in between. */
const find = (tree: readonly Titled[], path: readonly string[]): Titled | undefined => {
  const [first, ...rest] = path
  for (const one of tree) {
    const here = one.title === first ? (rest.length === 0 ? one : find(one.inside, rest)) : undefined
    const found = here ?? find(one.inside, path)
    if (found) return one.isSkipped ? { ...found, isSkipped: true } : found
  }
  return undefined
}

/** The titles of `describe`, `it` and `test` with their kin (`it.each(…)(title)`, tables in templates), from the syntax tree: text that looks like one is none. */
const titlesOf = (text: string | undefined, path: string): readonly Titled[] | undefined =>
  text === undefined ? undefined : titlesIn(parseAst(text, { lang: 'ts' }, path))

const titlesIn = (node: unknown): readonly Titled[] => {
  if (Array.isArray(node)) return node.flatMap((one) => titlesIn(one))
  if (!isNode(node)) return []
  const inside = Object.values(node).flatMap((value) => (typeof value === 'object' ? titlesIn(value) : []))
  if (node['type'] !== 'CallExpression') return inside
  const chain = chainOf(node['callee'])
  const title = titleOf(Array.isArray(node['arguments']) ? node['arguments'][0] : undefined)
  if (title === undefined || !['describe', 'it', 'test'].includes(chain[0] ?? '')) return inside
  return [{ title, isSkipped: chain.includes('skip') || chain.includes('todo'), inside }]
}

/** `it.each(table)` → it, each. */
const chainOf = (node: unknown): readonly string[] => {
  if (!isNode(node)) return []
  switch (node['type']) {
    case 'Identifier':
      return [String(node['name'])]
    case 'MemberExpression':
      return [...chainOf(node['object']), ...chainOf(node['property'])]
    case 'CallExpression':
      return chainOf(node['callee'])
    case 'TaggedTemplateExpression':
      return chainOf(node['tag'])
    default:
      return []
  }
}

const titleOf = (node: unknown): string | undefined => {
  if (!isNode(node)) return undefined
  if (node['type'] === 'Literal' && typeof node['value'] === 'string') return node['value']
  if (node['type'] !== 'TemplateLiteral' || !Array.isArray(node['quasis'])) return undefined
  return node['quasis'].map((quasi: { value: { cooked: string } }) => quasi.value.cooked).join('…')
}

const isNode = (node: unknown): node is Readonly<Record<string, unknown>> => typeof node === 'object' && node !== null

const main = (): void => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const read = (path: string): string | undefined => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined)
  const document = read(DOCUMENT) ?? ''
  const faults = faultsOf(document, read)
  for (const fault of faults) process.stderr.write(`${DOCUMENT}: ${fault}\n`)
  process.stdout.write(`${rowsOf(document).length} requirements, ${[...document.matchAll(REFERENCE)].length} references to tests\n`)
  process.exitCode = faults.length > 0 ? 1 : 0
}
if (import.meta.main) main()
