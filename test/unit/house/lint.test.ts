import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

/** The house plan holds only while lint knows it: every rule is broken once here, in files of a small copy of the tree. */
const root = join(import.meta.dirname, '../../..')
const SECRET = "import { Secret } from '../kernel/secret.ts'\n"

const BROKEN: readonly (readonly [promise: string, path: string, text: string, rule: string])[] = [
  ['no import goes up', 'src/domain/up.ts', "export { x } from '../flows/y.ts'\n", 'no-restricted-imports'],
  [
    'no type import goes up',
    'src/domain/up-type.ts',
    "import type { X } from '../edge/y.ts'\nexport type Y = X\n",
    'no-restricted-imports',
  ],
  ['rooms do not know each other', 'src/login/sideways.ts', "export { x } from '../session/y.ts'\n", 'no-restricted-imports'],
  [
    'rooms are not reached by import() either',
    'src/login/dynamic.ts',
    "export const x = () => import('../session/y.ts')\n",
    'no-restricted-imports',
  ],
  ['nobody but cli reaches dev', 'src/assembly/dev.ts', "export { x } from '../dev/y.ts'\n", 'no-restricted-imports'],
  ['a deeper folder is the same room', 'src/broker/deep/up.ts', "export { x } from '../../flows/y.ts'\n", 'no-restricted-imports'],
  ['src does not import tests', 'src/login/test.ts', "export { x } from '../../test/harness/the.ts'\n", 'no-restricted-imports'],
  ['a vendor has one door', 'src/session/vendor.ts', "export { SignJWT } from 'jose'\n", 'no-restricted-imports'],
  ['a sub-path is the same vendor', 'src/session/sub-path.ts', "export { x } from 'undici/lib/x.js'\n", 'no-restricted-imports'],
  ['fastify plug-ins go through the same door', 'src/proxy/plugin.ts', "export { x } from '@fastify/cookie'\n", 'no-restricted-imports'],
  ['ioredis lives in *-redis.ts', 'src/session/store.ts', "export { Redis } from 'ioredis'\n", 'no-restricted-imports'],
  ['the storeys hold in *-redis.ts too', 'src/session/up-redis.ts', "export { x } from '../flows/y.ts'\n", 'no-restricted-imports'],
  ['assembly calls no vendor', 'src/assembly/vendor.ts', "export { pino } from 'pino'\n", 'no-restricted-imports'],
  [
    'a secret is revealed in few files',
    'src/flows/reveal.ts',
    `${SECRET}export const x = (s: Secret<'a'>) => s.reveal()\n`,
    'no-restricted-properties',
  ],
  [
    'a secret is not revealed by its name in brackets',
    'src/domain/reveal.ts',
    `${SECRET}export const x = (s: Secret<'a'>) => s['reveal']()\n`,
    'no-restricted-properties',
  ],
  [
    'a secret is not revealed by taking its method',
    'src/broker/reveal.ts',
    `${SECRET}export const x = ({ reveal }: Secret<'a'>) => reveal\n`,
    'no-restricted-properties',
  ],
  ['no promise floats', 'src/flows/floating.ts', 'export const x = (f: () => Promise<void>) => {\n  f()\n}\n', 'no-floating-promises'],
  [
    'a switch names every member',
    'src/flows/switch.ts',
    "export const x = (k: 'a' | 'b') => {\n  switch (k) {\n    case 'a':\n      return 1\n  }\n  return 2\n}\n",
    'switch-exhaustiveness-check',
  ],
  ['no cycle', 'src/flows/cycle-a.ts', "import { b } from './cycle-b.ts'\nexport const a = (): number => b()\n", 'no-cycle'],
  ['no any', 'src/flows/any.ts', 'export const x: any = 1\n', 'no-explicit-any'],
  ['no console', 'src/flows/console.ts', "console.log('x')\n", 'no-console'],
  ['the environment is read in cli and config', 'src/flows/env.ts', "export const x = process.env['X']\n", 'no-process-env'],
  ['no file over 300 lines', 'src/flows/long.ts', `${'export {}\n'.repeat(301)}`, 'max-lines'],
]

const SOUND: readonly (readonly [promise: string, path: string, text: string])[] = [
  ['imports go down', 'src/flows/down.ts', "export { x } from '../session/y.ts'\n"],
  ['a room imports itself', 'src/session/own.ts', "export { x } from './y.ts'\n"],
  ['the door is open to its room', 'src/provider/door.ts', "export { SignJWT } from 'jose'\n"],
  ['ioredis in *-redis.ts', 'src/session/store-redis.ts', "export { Redis } from 'ioredis'\n"],
  ['assembly names a vendor type', 'src/assembly/type.ts', "import type { Logger } from 'pino'\nexport type X = Logger\n"],
  ['cli reaches dev', 'src/cli/demo.ts', "export const x = () => import('../dev/y.ts')\n"],
  ['the codec reveals', 'src/session/codec.ts', `${SECRET}export const x = (s: Secret<'a'>) => s.reveal()\n`],
  ['a package whose name ends like a room', 'src/config/vendor.ts', "export { x } from 'some-vendor/flows/x.js'\n"],
]

const tree = mkdtempSync(join(tmpdir(), 'sallyport-lint-'))
const found = new Map<string, string[]>()

beforeAll(async () => {
  for (const file of ['oxlint.config.ts', 'tsconfig.json', 'package.json']) cpSync(join(root, file), join(tree, file))
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    writeFileSync(join(tree, path), text)
  }
  put('src/kernel/secret.ts', readFileSync(join(root, 'src/kernel/secret.ts'), 'utf8'))
  put('src/flows/cycle-b.ts', "import { a } from './cycle-a.ts'\nexport const b = (): number => a()\n")
  for (const [, path, text] of [...BROKEN, ...SOUND]) put(path, text)
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint')
  const args = [oxlint, '--type-aware', '--format', 'json', 'src']
  const output = await promisify(execFile)(process.execPath, args, { cwd: tree, maxBuffer: 1 << 26 }).catch(
    (error: { stdout: string }) => error,
  )
  for (const { filename, code } of (JSON.parse(output.stdout) as { diagnostics: { filename: string; code: string }[] }).diagnostics)
    found.set(filename, [...(found.get(filename) ?? []), /\(([^)]+)\)/.exec(code)?.[1] ?? code])
})
afterAll(() => rmSync(tree, { recursive: true, force: true }))

it.each(BROKEN)('%s', (_promise, path, _text, rule) => {
  expect(found.get(path)).toContain(rule)
})

it.each(SOUND)('lets pass: %s', (_promise, path) => {
  expect(found.get(path) ?? []).toEqual([])
})
