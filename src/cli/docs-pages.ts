import { CONFIG_CODES } from '../config/codes.ts'
import { jsonSchema, type JsonSchema } from '../config/json-schema.ts'
import { METRICS } from '../domain/metric.ts'
import { PROBLEMS, type ProblemDefinition } from '../domain/problem.ts'

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))].map((row) => `| ${row.join(' | ')} |`).join('\n')
export const page = (title: string, source: string, ...parts: readonly string[]): string =>
  `<!-- Generated from ${source} by \`npm run docs\`: do not edit. -->\n\n# ${title}\n\n${parts.join('\n\n')}\n`

export const problemsDoc = (): string =>
  page(
    'Problems',
    'src/domain/problem.ts',
    'Every failure that a browser or caller can see, as `application/problem+json` (RFC 9457) or as a page. The code is stable. The hint for operators is logged, never sent.',
    table(
      ['code', 'status', 'title', 'fix for the frontend', 'hint for the operator'],
      Object.entries<ProblemDefinition>(PROBLEMS).map(([code, { status, title, fix, operator }]) => [
        `\`${code}\``,
        String(status),
        title,
        fix,
        operator ?? '',
      ]),
    ),
  )

export const metricsDoc = (): string =>
  page(
    'Metrics',
    'src/domain/metric.ts',
    'Served as Prometheus text at `/metrics` of the ops listener. Labels come from closed sets: never a path, a subject or a message.',
    table(
      ['metric', 'kind', 'labels', 'what it counts or measures'],
      Object.entries(METRICS).map(([name, { kind, labels, help }]) => [
        `\`${name}\``,
        kind,
        labels.map((label) => `\`${label}\``).join(', '),
        help,
      ]),
    ),
  )

export const configErrorsDoc = (): string =>
  page(
    'Configuration errors',
    'src/config/codes.ts',
    'What `sallyport config check` and `serve` say about a configuration, each with file, line and column. Errors refuse the start, warnings do not.',
    table(
      ['code', 'severity', 'what is wrong', 'fix'],
      Object.entries(CONFIG_CODES).map(([code, { severity, title, fix }]) => [`\`${code}\``, severity, title, fix]),
    ),
  )

export const settingsDoc = (): string => {
  const schema = jsonSchema()
  const single = Object.entries(schema.properties ?? {}).filter(([, node]) => childrenOf(node).length === 0)
  const sections = Object.entries(schema.properties ?? {}).filter(([, node]) => childrenOf(node).length > 0)
  return page(
    'Settings',
    'src/config/settings-*.ts',
    'One YAML file. Unknown keys are refused. A value may be, or contain, `${env:NAME}` or `${file:/path}` (in quotes inside `{…}` and `[…]`); secrets are given no other way. Relative paths start from the folder of the file. Durations: `500ms`, `30s`, `10m`, `1h30m`. Sizes: `64KiB`, `10MiB`. `sallyport config print` shows what is in effect.',
    settingsTable(single.flatMap(([name, node]) => rowsOf(name, node, schema.required?.includes(name) ?? false))),
    ...sections.map(([name, node]) => {
      const children = childrenOf(node).flatMap(([path, child, needed]) => rowsOf(`${name}${path}`, child, needed))
      return `## ${name}\n\n${node.description ?? ''}\n\n${settingsTable(children)}`
    }),
  )
}

const settingsTable = (rows: readonly (readonly string[])[]): string =>
  table(['setting', 'default', 'change', 'since', 'what it does'], rows)

const rowsOf = (path: string, node: JsonSchema, needed: boolean): readonly (readonly string[])[] => {
  const fallback =
    node.default === undefined || isMapping(node.default)
      ? needed
        ? '**required**'
        : ''
      : `\`${JSON.stringify(node.default).replaceAll('"', '')}\``
  const change = node['x-reload'] === 'live' ? 'live' : 'restart'
  const values = node.enum ? ` One of ${node.enum.map((value) => `\`${String(value)}\``).join(', ')}.` : ''
  const example = node.examples?.[0] === undefined ? '' : ` Example: \`${node.examples[0]}\`.`
  const secret = node['x-secret'] ? ' **Secret.**' : ''
  const own = [`\`${path}\``, fallback, change, node['x-since'] ?? '', `${node.description ?? ''}${values}${example}${secret}`]
  return [own, ...childrenOf(node).flatMap(([step, child, required]) => rowsOf(`${path}${step}`, child, required))]
}

const isMapping = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Settings below a mapping, a list of mappings, or the branches of a choice. `allow` refers to itself: shown once. */
const childrenOf = (node: JsonSchema): readonly (readonly [string, JsonSchema, boolean])[] => {
  const own = Object.entries(node.properties ?? {}).map(
    ([name, child]) => [`.${name}`, child, node.required?.includes(name) ?? false] as const,
  )
  const items = node.items ? childrenOf(node.items).map(([step, child, needed]) => [`[]${step}`, child, needed] as const) : []
  const reference = node.allOf?.[0]?.$ref?.replace('#/definitions/', '')
  const referred = reference === undefined ? undefined : jsonSchema().definitions?.[reference]
  return [...own, ...items, ...[...(node.anyOf ?? []), ...(referred ? [referred] : [])].flatMap(childrenOf)]
}
