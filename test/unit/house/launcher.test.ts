import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'

/** bin/sallyport.mjs in a tree of its own, with a main that says who runs it. An old Node is played by a preload, which a relaunched one does not get. */
const tree = mkdtempSync(join(tmpdir(), 'sallyport-launcher-'))
const OLD = [
  '--import',
  `data:text/javascript,${encodeURIComponent("Object.defineProperty(process.versions, 'node', { value: '20.1.0' })")}`,
]
const MAIN = `
const [wish] = process.argv.slice(2)
if (wish === 'exit') process.exitCode = 7
if (wish === 'wait') {
  process.on('SIGTERM', () => { process.stdout.write('ended in order\\n'); process.exit(0) })
  setInterval(() => {}, 1000)
}
// Last: whoever reads it may send the signal at once.
process.stdout.write(process.versions.node + ' ' + process.argv.slice(2).join(' ') + '\\n')
if (wish === 'die') process.kill(process.pid, 'SIGKILL')
`

const put = (path: string, text: string): void => {
  mkdirSync(join(tree, path, '..'), { recursive: true })
  writeFileSync(join(tree, path), text)
}

interface Run {
  readonly child: ChildProcess
  readonly said: () => string
}

const start = (node: readonly string[], ...args: readonly string[]): Run => {
  const child = spawn(process.execPath, [...node, join(tree, 'bin/sallyport.mjs'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return { child, said: () => said }
}

const end = async ({ child, said }: Run): Promise<{ code: number | null; signal: string | null; said: string }> => {
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, said: said() }
}

beforeAll(() => {
  mkdirSync(join(tree, 'bin'))
  cpSync(join(import.meta.dirname, '../../../bin/sallyport.mjs'), join(tree, 'bin/sallyport.mjs'))
  put('package.json', '{ "type": "module" }')
  put('src/cli/main.ts', MAIN)
})
afterAll(() => rmSync(tree, { recursive: true, force: true }))

const pin = (target: string): void => {
  rmSync(join(tree, 'node_modules'), { recursive: true, force: true })
  mkdirSync(join(tree, 'node_modules/.bin'), { recursive: true })
  symlinkSync(target, join(tree, 'node_modules/.bin/node'))
}

it('says in one line what to do when no newer Node is at hand', async () => {
  const run = await end(start(OLD, 'serve'))
  expect(run).toMatchObject({
    code: 1,
    said: expect.stringMatching(/^sallyport needs Node\.js 24 or newer, this is 20\.1\.0: run `npm ci`.*\n$/),
  })
})

it('runs on the pinned Node where the one on PATH is too old, with arguments and exit code', async () => {
  pin(process.execPath)
  expect(await end(start(OLD, 'exit', '--config', 'a b'))).toMatchObject({ code: 7, said: `${process.versions.node} exit --config a b\n` })
})

it('forwards SIGTERM, so that a relaunched gateway still ends in order', async () => {
  pin(process.execPath)
  const run = start(OLD, 'wait')
  if (run.child.stdout) await once(run.child.stdout, 'data')
  run.child.kill('SIGTERM')
  expect(await end(run)).toMatchObject({ code: 0, said: expect.stringContaining('ended in order') })
})

it('ends by the signal that ended the gateway', async () => {
  pin(process.execPath)
  expect(await end(start(OLD, 'die'))).toMatchObject({ signal: 'SIGKILL' })
})

it('does not relaunch for ever when the pinned Node is too old as well', async () => {
  rmSync(join(tree, 'node_modules'), { recursive: true, force: true })
  put(
    'node_modules/.bin/node',
    `#!/bin/sh\nexec '${process.execPath}' ${OLD.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')} "$@"\n`,
  )
  chmodSync(join(tree, 'node_modules/.bin/node'), 0o755)
  expect(await end(start(OLD, 'serve'))).toMatchObject({ code: 1, said: expect.stringContaining('too old as well') })
})

it('takes dist/ where there is no src/, as in the image', async () => {
  put('dist/cli/main.js', "process.stdout.write('from dist\\n')")
  expect((await end(start([], 'x'))).said).toContain(process.versions.node)
  rmSync(join(tree, 'src'), { recursive: true })
  expect((await end(start([], 'x'))).said).toBe('from dist\n')
})
