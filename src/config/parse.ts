import { LineCounter, parseDocument } from 'yaml'
import type { Finding } from './finding.ts'
import type { ReferenceSources } from './reference.ts'
import { reporter, type Remark, type Report, type Source } from './report.ts'
import { treeOf, type Tree } from './tree.ts'

export const FILE_BYTES_MAX = 1024 * 1024

/** Text to tree; everything that is wrong with the YAML or its references is reported on the way. */
export const parseSource = (
  file: string,
  raw: string,
  sources: ReferenceSources,
): { readonly tree: Tree; readonly report: Report; readonly findings: Finding[]; readonly lines: LineCounter } => {
  const findings: Finding[] = []
  const lines = new LineCounter()
  const text = raw.replace(/^\uFEFF/, '')
  const source = (broken: boolean): Source => ({ file, text, lines, broken })
  if (Buffer.byteLength(text) > FILE_BYTES_MAX) {
    const tree: Tree = { data: {}, entries: new Map(), spans: [], faults: [] }
    reporter({ ...source(true), text: '' }, tree, findings)({ code: 'config.file-too-large', path: [] })
    return { tree, report: () => {}, findings, lines }
  }
  const tooDeep = deepAt(text)
  if (tooDeep !== undefined) {
    const tree: Tree = {
      data: {},
      entries: new Map(),
      spans: [{ start: 0, end: text.length, path: [], role: 'value', text: 'hidden' }],
      faults: [],
    }
    reporter(source(true), tree, findings)({ code: 'config.yaml-too-complex', path: [], at: { start: tooDeep, end: tooDeep + 1 } })
    return { tree, report: () => {}, findings, lines }
  }
  // prettyErrors would put source lines into messages; duplicate keys are found by the walk, which knows both places.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, strict: true, version: '1.2' })
  const broken = document.errors[0] ?? document.warnings[0]
  const tree = treeOf(document, sources)
  const report = reporter(source(broken !== undefined), tree, findings)
  if (broken) report(yamlRemark(broken.code, broken.pos, text))
  else for (const fault of tree.faults) report({ ...fault, onKey: fault.code === 'config.key-duplicate' })
  return { tree, report, findings, lines }
}

const BRACKETS_DEEP_MAX = 200

/** Where brackets nest deeper than any configuration, quotes or not: the YAML library takes minutes over some such files. */
const deepAt = (text: string): number | undefined => {
  let depth = 0
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at)
    if (char === 0x5b || char === 0x7b) depth += 1
    else if ((char === 0x5d || char === 0x7d) && depth > 0) depth -= 1
    if (depth > BRACKETS_DEEP_MAX) return at
  }
  return undefined
}

const REASONS: Readonly<Record<string, string>> = {
  MISSING_CHAR: 'a closing quote or bracket is missing',
  BAD_INDENT: 'the indentation does not fit',
  BLOCK_AS_IMPLICIT_KEY: 'a mapping starts where a value was expected: a value with `: ` in it needs quotes',
  MULTILINE_IMPLICIT_KEY: 'a key without a value: is a space missing after the colon?',
  TAG_RESOLVE_FAILED: 'tags (`!name`) are not used here',
  BAD_ALIAS: 'this alias has no anchor',
  UNEXPECTED_TOKEN: 'something stands here that does not belong here',
}

/** The library's message may repeat the source; its code does not. */
const yamlRemark = (code: string, pos: readonly [number, number], text: string): Remark => {
  const at = { start: pos[0], end: Math.max(pos[1], pos[0] + 1) }
  const line = text.slice(text.lastIndexOf('\n', pos[0] - 1) + 1, (text.indexOf('\n', pos[0]) + 1 || text.length + 1) - 1)
  if (/[{[,:]\s*\$\{/.test(line) && /[[{].*\$\{/.test(line) && code !== 'TAB_AS_INDENT')
    return { code: 'config.reference-unquoted', path: [], at }
  if (code === 'TAB_AS_INDENT') return { code: 'config.yaml-tab', path: [], at }
  if (code === 'MULTIPLE_DOCS') return { code: 'config.yaml-documents', path: [], at }
  const reason = REASONS[code]
  return { code: 'config.yaml-malformed', path: [], at, ...(reason !== undefined && { reason }) }
}
