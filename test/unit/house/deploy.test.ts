import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { jsonSchema } from '../../../src/config/json-schema.ts'

/** What image, chart and compose say twice, because they cannot import it. */
const root = join(import.meta.dirname, '../../..')
const text = (path: string): string => readFileSync(join(root, path), 'utf8')
interface Node {
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Node>>
}
const schema = jsonSchema() as Node
const defaultOf = (...path: readonly string[]): unknown =>
  path.reduce<Node | undefined>((node, name) => node?.properties?.[name], schema)?.default

it('copies into the image only what exists and what .dockerignore lets through', () => {
  const allowed = text('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1))
  const copied = [...text('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources]) => (sources ?? '').split(' '))
  expect(copied.length).toBeGreaterThan(5)
  expect(copied.filter((source) => !allowed.includes(source.replace('./', '')) || !existsSync(join(root, source)))).toEqual([])
})

it('names the version of package.json in the chart', () => {
  const { version } = JSON.parse(text('package.json')) as { version: string }
  expect(parse(text('helm/sallyport/Chart.yaml'))).toMatchObject({ version, appVersion: version })
})

it.each([
  ['listen', 'public'],
  ['listen', 'ops'],
  ['shutdown', 'delay'],
  ['shutdown', 'grace'],
])('assumes in the chart what %s.%s is by default', (group, name) => {
  const helpers = text('helm/sallyport/templates/_helpers.tpl')
  expect(new RegExp(`dig "${group}" "${name}" "([^"]+)"`).exec(helpers)?.[1]).toBe(defaultOf(group, name))
})

it('knows in the chart the same settings as the configuration', () => {
  const values = JSON.parse(text('helm/sallyport/values.schema.json')) as { properties: { config: Node } }
  expect(Object.keys(values.properties.config.properties ?? {}).sort()).toEqual(Object.keys(schema.properties ?? {}).sort())
})

it('ships only example configurations that the gateway accepts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-examples-'))
  try {
    const examples = readdirSync(join(root, 'helm/sallyport/ci')).map((name) => {
      const file = join(folder, name)
      writeFileSync(file, stringify((parse(text(`helm/sallyport/ci/${name}`)) as { config: unknown }).config))
      return file
    })
    const check = (file: string): Promise<{ stdout: string; stderr: string }> =>
      promisify(execFile)(process.execPath, [join(root, 'bin/sallyport.mjs'), 'config', 'check', '--config', file])
    const answers = await Promise.all([...examples, join(root, 'deploy/sallyport.yaml')].map(check))
    expect(answers.map(({ stdout, stderr }) => `${stdout}${stderr}`)).toEqual(
      examples.concat('').map(() => expect.stringMatching(/^0 errors/m)),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
