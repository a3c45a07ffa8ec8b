import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createFdSink } from '../../../src/telemetry/sink-fd.ts'

let dir: string
let file: string
let fd: number
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-sink-'))
  file = join(dir, 'out')
  fd = openSync(file, 'a')
})
afterEach(async () => {
  closeSync(fd)
  await rm(dir, { recursive: true, force: true })
})
const written = (): string => readFileSync(file, 'utf8')
const lineOf = (n: number): string => `{"n":${n},"x":"${'x'.repeat(n % 90)}"}\n`

it('writes every line once and in order, over many buffers', async () => {
  const sink = createFdSink({ fd, bufferBytes: 1024, waitingMax: 10_000 })
  const lines = Array.from({ length: 5000 }, (_, n) => lineOf(n))
  for (const [n, line] of lines.entries()) {
    sink.write(line)
    if (n % 500 === 0) await new Promise((done) => setImmediate(done))
  }
  await sink.drained()
  expect(written()).toBe(lines.join(''))
})

it('writes by itself soon after, without anybody flushing', async () => {
  const sink = createFdSink({ fd })
  sink.write(lineOf(1))
  expect(written()).toBe('')
  await vi.waitFor(() => expect(written()).toBe(lineOf(1)), { timeout: 5000 })
})

it('at exit writes the rest at once, in order', () => {
  const sink = createFdSink({ fd, bufferBytes: 65_536 })
  for (let n = 0; n < 100; n += 1) sink.write(lineOf(n))
  sink.flushSync()
  expect(written()).toBe(Array.from({ length: 100 }, (_, n) => lineOf(n)).join(''))
})

it('goes on after a flush in the middle, and writes nothing twice', async () => {
  const sink = createFdSink({ fd, bufferBytes: 256 })
  const lines = Array.from({ length: 60 }, (_, n) => lineOf(n))
  for (const line of lines.slice(0, 30)) sink.write(line)
  sink.flushSync()
  for (const line of lines.slice(30)) sink.write(line)
  await sink.drained()
  expect(written().split('\n').sort()).toEqual(lines.join('').split('\n').sort())
})

it('writes ASCII only', async () => {
  const sink = createFdSink({ fd })
  sink.write('{"x":"é\u2028\u{1f511}"}\n')
  await sink.drained()
  expect(written()).toBe('{"x":"\\u00e9\\u2028\\ud83d\\udd11"}\n')
})

it('gives up whole lines only when it has no room, counts them, and says so once there is room', async () => {
  let lost = 0
  const onLost = (lines: number): void => {
    lost += lines
  }
  const sink = createFdSink({ fd, bufferBytes: 256, waitingMax: 4, onLost, lostLine: (lines) => `{"lost":${lines}}\n` })
  const lines = Array.from({ length: 200 }, (_, n) => lineOf(n))
  for (const line of lines) sink.write(line) // nothing can be written meanwhile: the loop does not turn
  await sink.drained()
  const out = written().split('\n').filter(Boolean)
  expect(lost).toBeGreaterThan(0)
  expect(out.filter((line) => line.includes('"n"'))).toHaveLength(200 - lost)
  expect(out.filter((line) => line.includes('"lost"'))).toEqual([`{"lost":${lost}}`])
  for (const line of out) JSON.parse(line)
})

it('does not take a line longer than its buffer', async () => {
  let lost = 0
  const sink = createFdSink({
    fd,
    bufferBytes: 64,
    onLost: (lines) => {
      lost += lines
    },
  })
  sink.write(`"${'x'.repeat(100)}"\n`)
  sink.write('"short"\n')
  await sink.drained()
  expect(written()).toBe('"short"\n')
  expect(lost).toBe(1)
})

it('survives a reader that stands still: every line arrives whole once it reads', async () => {
  const sinkUrl = new URL('../../../src/telemetry/sink-fd.ts', import.meta.url)
  const program = `
    const { createFdSink } = await import(${JSON.stringify(sinkUrl.href)})
    const sink = createFdSink({ fd: 1 })
    for (let n = 0; n < 20000; n += 1) sink.write(JSON.stringify({ n, x: 'x'.repeat(n % 90) }) + '\\n')
    process.stderr.write('written')
    await sink.drained()
    sink.write('{"last":true}\\n')
    process.on('exit', () => sink.flushSync())
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: fileURLToPath(new URL('.', sinkUrl)),
  })
  const ended = new Promise<number | null>((done) => child.on('exit', done))
  await new Promise((done) => child.stderr.once('data', done)) // all lines are taken although nobody has read one
  let out = ''
  for await (const chunk of child.stdout) out += chunk
  expect(await ended).toBe(0)
  const lines = out.split('\n').filter(Boolean)
  expect(lines).toHaveLength(20_001)
  expect(lines.slice(0, -1).map((line) => JSON.parse(line).n)).toEqual(Array.from({ length: 20_000 }, (_, n) => n))
})
