import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeFailure } from '../../../src/cli/failure.ts'
import { COMMANDS } from '../../../src/cli/run.ts'
import { GatewayError } from '../../../src/domain/problem.ts'
import { canary, expectNoLeak } from '../../harness/canary.ts'
import { good } from '../config/a-config.ts'
import { shell } from './a-shell.ts'

let folder = ''
const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SECRET = canary('cli')
const WITH_SECRETS = good({ client_auth: '  client_auth: [{ client_secret: "${env:S}" }]' }, [
  'session:',
  '  keys_dir: keys',
  '  store: { redis: { url: "redis://u:${env:S}@127.0.0.1" } }',
])

describe('exit codes', () => {
  it.each`
    argv                                                 | code | because
    ${['config', 'schema']}                              | ${0} | ${'it answers'}
    ${['--version']}                                     | ${0} | ${'it answers'}
    ${['--help']}                                        | ${0} | ${'help was asked for'}
    ${['serve', '--help']}                               | ${0} | ${'help was asked for'}
    ${['config', '--help']}                              | ${0} | ${'help was asked for'}
    ${[]}                                                | ${2} | ${'nothing was asked for'}
    ${['sevre']}                                         | ${2} | ${'there is no such command'}
    ${['config']}                                        | ${2} | ${'half a command'}
    ${['config', 'chekc']}                               | ${2} | ${'there is no such command'}
    ${['config', 'check']}                               | ${2} | ${'no file was named'}
    ${['config', 'check', '--config']}                   | ${2} | ${'no file was named'}
    ${['config', 'check', '--frobnicate']}               | ${2} | ${'there is no such option'}
    ${['config', 'check', 'stray']}                      | ${2} | ${'an argument too many'}
    ${['config', 'schema', '-o', 'xml']}                 | ${2} | ${'there is no such format'}
    ${['keys', 'rotate']}                                | ${2} | ${'no folder was named'}
    ${['demo', '--port', 'x']}                           | ${2} | ${'that is no port'}
    ${['demo', '--token-seconds', '4']}                  | ${2} | ${'a token that is renewed at every call shows nothing'}
    ${['config', 'check', '-c', '/nowhere/config.yaml']} | ${1} | ${'there is no such file'}
    ${['config', 'print', '-c', '/nowhere/config.yaml']} | ${1} | ${'there is no such file'}
    ${['serve', '-c', '/nowhere/config.yaml']}           | ${1} | ${'there is no such file'}
  `('$argv exits $code: $because', async ({ argv, code }) => {
    const done = await shell(argv)
    expect(done.code).toBe(code)
    expect(done.out + done.err).not.toBe('')
  })

  it('3 is for what cannot be reached', () => {
    const refused = Object.assign(new Error('listen EADDRINUSE: address already in use 0.0.0.0:8080'), {
      code: 'EADDRINUSE',
      syscall: 'listen',
    })
    expect(describeFailure(refused)).toEqual({ text: refused.message, isConnection: true })
    expect(describeFailure(new GatewayError('store.unavailable')).isConnection).toBe(true)
    expect(describeFailure(new GatewayError('gateway.failed')).isConnection).toBe(false)
  })
})

it('what a library throws is not repeated: its message may hold a token', () => {
  const { text } = describeFailure(new TypeError(`bad token ${SECRET}`))
  expect(text).toContain('TypeError')
  expectNoLeak([SECRET], { text })
})

it('an argument is not repeated: it may be a secret typed in the wrong place', async () => {
  const done = await Promise.all([shell(['config', 'check', `--${SECRET}`]), shell([SECRET]), shell(['keys', 'rotate', SECRET])])
  expect(done.map(({ code }) => code)).toEqual([2, 2, 2])
  expectNoLeak([SECRET], { err: done.map(({ err }) => err).join() })
})

it('every command tells its usage, its options and nothing else', async () => {
  for (const { name, usage, options } of COMMANDS) {
    const { out } = await shell([...name.split(' '), '--help'])
    expect(out).toContain(`sallyport ${usage}`)
    for (const option of options) expect(out).toContain(`--${option}`)
  }
})

describe('config check', () => {
  it('says what it found as text or as JSON, the same', async () => {
    const path = file('bad.yaml', good({ client_id: '  cleint_id: x' }))
    const text = await shell(['config', 'check', '-c', path])
    expect(text.code).toBe(1)
    expect(text.out).toContain('Did you mean `client_id`?')
    expect(text.out).toContain('2 errors, 0 warnings')
    const json = await shell(['config', 'check', '-c', path, '-o', 'json'])
    expect(json.code).toBe(1)
    expect(JSON.parse(json.out)).toMatchObject({
      ok: false,
      findings: [{ code: 'config.value-missing' }, { code: 'config.key-unknown', place: { file: path, line: 4, column: 3 } }],
    })
  })

  it('passes warnings, unless strict', async () => {
    const path = file('warn.yaml', good({ public_url: 'public_url: https://shop.example.com' }))
    expect((await shell(['config', 'check', '-c', path])).code).toBe(0)
    expect((await shell(['config', 'check', '-c', path, '--strict'])).code).toBe(1)
  })

  it('finds its file in SALLYPORT_CONFIG', async () => {
    const path = file('env.yaml', good())
    expect(await shell(['config', 'check'], { SALLYPORT_CONFIG: path })).toMatchObject({ code: 0, out: '0 errors, 0 warnings\n' })
  })

  it('is coloured only where colours are wanted', async () => {
    const path = file('colour.yaml', good({ client_id: '' }))
    expect((await shell(['config', 'check', '-c', path], {}, true)).out).toContain('\u001b[31m')
    expect((await shell(['config', 'check', '-c', path], {}, false)).out).not.toContain('\u001b')
  })
})

describe('config print', () => {
  it('shows every setting with where it comes from', async () => {
    const path = file('print.yaml', good({ client_id: '  client_id: ${env:ID}' }))
    const { out } = await shell(['config', 'print', '-c', path], { ID: 'shop' })
    expect(out).toMatch(new RegExp(`^public_url: http://localhost:8080 +# ${path}:1$`, 'm'))
    expect(out).toMatch(/^base_path: \/bff +# default$/m)
    expect(out).toMatch(new RegExp(`^ {2}client_id: \\$\\{env:ID\\} +# env ID, ${path}:4$`, 'm'))
    expect(out).toMatch(/^ {2}store: memory +# default$/m)
  })

  it('prints a configuration that loads and means the same', async () => {
    const first = await shell(['config', 'print', '-c', file('round.yaml', WITH_SECRETS)], { S: SECRET })
    const second = await shell(['config', 'print', '-c', file('round2.yaml', first.out)], { S: SECRET })
    const values = (text: string): string => text.replaceAll(/ +#.*$/gm, '')
    expect(second.code).toBe(0)
    expect(values(second.out)).toBe(values(first.out))
  })

  it('never prints a secret, in no format', async () => {
    const path = file('secret.yaml', WITH_SECRETS)
    const texts = await Promise.all([
      shell(['config', 'print', '-c', path], { S: SECRET }),
      shell(['config', 'print', '-c', path, '-o', 'json'], { S: SECRET }),
      shell(['config', 'check', '-c', path, '-o', 'json'], { S: SECRET }),
      shell(['config', 'schema'], { S: SECRET }),
    ])
    expect(texts.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expectNoLeak([SECRET], {
      yaml: texts[0]?.out ?? '',
      json: texts[1]?.out ?? '',
      check: texts[2]?.out ?? '',
      schema: texts[3]?.out ?? '',
    })
    expect(texts[0]?.out).toContain('client_secret: ${env:S}')
  })
})

it('config schema is draft-07, and every setting in it is documented', async () => {
  const schema: unknown = JSON.parse((await shell(['config', 'schema'])).out)
  expect(schema).toMatchObject({
    $schema: 'http://json-schema.org/draft-07/schema#',
    required: ['public_url', 'provider'],
    additionalProperties: false,
  })
  const undocumented: string[] = []
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return
    if ('properties' in node && typeof node.properties === 'object' && node.properties !== null)
      for (const [name, child] of Object.entries(node.properties)) {
        const has = typeof child === 'object' && child !== null && 'description' in child && 'x-reload' in child && 'x-since' in child
        if (!has) undocumented.push(`${path}.${name}`)
      }
    for (const [key, child] of Object.entries(node)) visit(child, `${path}.${key}`)
  }
  visit(schema, '')
  expect(undocumented).toEqual([])
  const secret = /"client_secret": \{[^}]*"x-secret": true/
  expect(JSON.stringify(schema, null, 1)).toMatch(secret)
})

it('keys rotate makes a folder only its owner reads, and prints the id of the key, not the key', async () => {
  const dir = join(folder, 'keys-made')
  const { code, out } = await shell(['keys', 'rotate', '--dir', dir, '-o', 'json'])
  expect(code).toBe(0)
  const made = readdirSync(dir).toSorted()
  expect(made).toHaveLength(2)
  expect(JSON.parse(out)).toMatchObject({ index_created: true })
  expect(made).toContain(`${JSON.parse(out).kid}.key`)
  expect(statSync(dir).mode & 0o077).toBe(0)
  expectNoLeak(
    made.map((name) => readFileSync(join(dir, name), 'utf8').trim()),
    { out },
  )
})

it('as a process: into a pipe there are no colours, and the exit code is the command’s', () => {
  const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))
  const done = spawnSync(process.execPath, [main, 'config', 'check', '-c', file('process.yaml', good({ client_id: '' }))], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  expect(done.status).toBe(1)
  expect(done.stdout).toContain('error[config.value-missing]')
  expect(done.stdout).not.toContain('\u001b')
})
