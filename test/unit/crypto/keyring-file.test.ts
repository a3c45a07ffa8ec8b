import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KeyringChange, VisibleKeyring } from '../../../src/crypto/keyring.ts'
import { openKeyringFiles } from '../../../src/crypto/keyring-file.ts'
import { rotateKeys } from '../../../src/crypto/rotate-keys-file.ts'
import { createSealer } from '../../../src/crypto/seal.ts'
import { createFileWatch } from '../../../src/kernel/file-watch.ts'
import type { FileWatch } from '../../../src/kernel/file-watch.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import { FakeClock, FakeLog, NOON } from './fakes.ts'

let dir: string
let clock: FakeClock
let log: FakeLog
let changes: KeyringChange[]
let watch: FileWatch

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-keys-'))
  clock = new FakeClock()
  log = new FakeLog()
  changes = []
  watch = createFileWatch({ clock, log })
})
afterEach(async () => {
  await watch.stop()
  await rm(dir, { recursive: true, force: true })
})

const load = async (at = dir): Promise<VisibleKeyring> =>
  openKeyringFiles({ dir: at, settleMs: minutes(5), clock, log, watch, onChange: (change) => changes.push(change) })
const kid = (hour: number): string => `20261120T${String(hour).padStart(2, '0')}0000Z-aaaaaa`
const key = () => `${randomBytes(32).toString('base64url')}\n`
const put = async (name: string, content = key(), ageMinutes = 60): Promise<void> => {
  const path = join(dir, `${name}.key`)
  await writeFile(path, content, { mode: 0o600 })
  const at = new Date(after(clock.now(), minutes(-ageMinutes)))
  await utimes(path, at, at)
}
/** Past the rate limit of reloads. */
const look = async (ring: VisibleKeyring): Promise<void> => {
  clock.advance(seconds(6))
  await ring.reload()
}

const PATIENCE = { timeout: 10_000 }

describe('a directory of keys', () => {
  it('seals with a new key only once it has been here for the settling time, and opens with both', async () => {
    await put('index')
    await put(kid(1))
    const ring = await load()
    const sealer = createSealer({ keyring: ring })
    const before = sealer.seal('card', [], 'before')
    await put(kid(2), key(), 600) // an old mtime does not make it known to the other replicas
    await look(ring)
    expect(sealer.kidOf(sealer.seal('card', [], ''))).toBe(kid(1))
    expect(ring.find(kid(2))).toMatchObject({ kid: kid(2) })
    clock.advance(minutes(4))
    expect(ring.sealing().kid).toBe(kid(1))
    clock.advance(minutes(1))
    expect(ring.sealing().kid).toBe(kid(2))
    expect(sealer.open('card', [], before)).toEqual({ kind: 'opened', text: 'before' })
    expect(changes).toEqual([
      { kind: 'activated', kid: kid(1) },
      { kind: 'activated', kid: kid(2) },
    ])
  })

  it('reports a settled key by looking alone, without anybody sealing', async () => {
    await put('index')
    await put(kid(1))
    await load()
    await put(kid(2))
    clock.advance(seconds(5))
    await vi.waitFor(() => expect(log.messages('info')).toContain('sealing key present, opens now and seals once settled'), PATIENCE)
    await vi.waitFor(() => {
      clock.advance(minutes(6))
      expect(changes.at(-1)).toEqual({ kind: 'activated', kid: kid(2) })
    }, PATIENCE)
  })

  it('at the start counts the age of the file', async () => {
    await put('index')
    await put(kid(1))
    await put(kid(2), key(), 10)
    await put(kid(3), key(), 1)
    expect((await load()).sealing().kid).toBe(kid(2))
  })

  it('tells a removed key from one that is not here yet, and finds the latter by a reload', async () => {
    await put('index')
    await put(kid(1))
    await put(kid(2))
    const ring = await load()
    await rm(join(dir, `${kid(1)}.key`))
    await look(ring)
    expect(ring.find(kid(1))).toBe('key-removed')
    expect(changes.at(-1)).toEqual({ kind: 'removed', kid: kid(1) })
    expect(ring.find(kid(3))).toBe('key-unknown')
    await put(kid(3))
    await look(ring)
    expect(ring.find(kid(3))).toMatchObject({ kid: kid(3) })
  })

  it('reloads at most once in five seconds, however many unknown keys are named', async () => {
    await put('index')
    await put(kid(1))
    const ring = await load()
    await look(ring)
    await put(kid(2))
    await Promise.all(Array.from({ length: 100 }, () => ring.reload()))
    expect(ring.find(kid(2))).toBe('key-unknown')
    clock.advance(seconds(5))
    await Promise.all(Array.from({ length: 100 }, () => ring.reload()))
    expect(ring.find(kid(2))).toMatchObject({ kid: kid(2) })
  })

  it('ignores a half-written file with a warning, and takes it once it is whole', async () => {
    await put('index')
    await put(kid(1))
    const whole = key()
    await put(kid(2), whole.slice(0, 20))
    const ring = await load()
    expect(ring.find(kid(2))).toBe('key-unknown')
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'key file ignored' }))
    await put(kid(2), whole)
    await look(ring)
    expect(ring.find(kid(2))).toMatchObject({ kid: kid(2) })
    expect(JSON.stringify(log.lines)).not.toContain(whole.slice(0, 10))
  })

  it.each`
    content                                           | because
    ${''}                                             | ${'empty'}
    ${randomBytes(31).toString('base64url')}          | ${'too short'}
    ${randomBytes(33).toString('base64url')}          | ${'too long'}
    ${randomBytes(32).toString('hex')}                | ${'hex'}
    ${`${randomBytes(32).toString('base64url')}\n\n`} | ${'two line ends'}
    ${` ${randomBytes(32).toString('base64url')}`}    | ${'a blank in front'}
    ${'A'.repeat(42) + 'B'}                           | ${'spare bits set'}
    ${'x'.repeat(1_000_000)}                          | ${'huge'}
  `('takes no key from a file that is $because', async ({ content }) => {
    await put('index')
    await put(kid(1), content)
    await expect(load()).rejects.toMatchObject({ code: 'keyring.empty' })
  })

  it('keeps a key whose file is being rewritten', async () => {
    await put('index')
    await put(kid(1))
    await put(kid(2))
    const ring = await load()
    await writeFile(join(dir, `${kid(2)}.key`), 'half')
    await look(ring)
    expect(ring.find(kid(2))).toMatchObject({ kid: kid(2) })
  })

  it('keeps what it holds when the directory is emptied, unmounted, or left with one broken file', async () => {
    await put('index')
    await put(kid(1))
    const ring = await load()
    await rm(join(dir, `${kid(1)}.key`))
    await look(ring)
    expect(ring.find(kid(1))).toMatchObject({ kid: kid(1) })
    await put(kid(2), 'half')
    await look(ring)
    expect(ring.find(kid(1))).toMatchObject({ kid: kid(1) })
    await rm(dir, { recursive: true })
    await look(ring)
    expect(ring.sealing().kid).toBe(kid(1))
    expect(changes.filter((change) => change.kind === 'removed')).toEqual([])
    expect(log.messages('warn').filter((message) => message === 'no key in session.keys_dir, the old ones stay')).toHaveLength(1)
  })

  it('never changes its index key or a key under the same id while it runs', async () => {
    await put('index')
    await put(kid(1))
    const ring = await load()
    const sealer = createSealer({ keyring: ring })
    const [name, sealed] = [sealer.index('iss', 'sub'), sealer.seal('card', [], 'x')]
    await put('index')
    await put(kid(1))
    await look(ring)
    expect(sealer.index('iss', 'sub')).toBe(name)
    expect(sealer.open('card', [], sealed)).toEqual({ kind: 'opened', text: 'x' })
    expect(log.messages('warn').filter((message) => message.startsWith('key file changed'))).toHaveLength(2)
  })

  it.each`
    files             | code
    ${[]}             | ${'keyring.index-key-absent'}
    ${[kid(1)]}       | ${'keyring.index-key-absent'}
    ${['index']}      | ${'keyring.empty'}
    ${['index', 'k']} | ${'keyring.empty'}
  `('with $files does not open: $code', async ({ files, code }) => {
    for (const file of files) await put(file)
    await expect(load()).rejects.toMatchObject({ code })
  })

  it('does not open when it is not there', async () => {
    await expect(load(join(dir, 'absent'))).rejects.toMatchObject({ code: 'keyring.directory-unreadable' })
  })

  it.each`
    mode     | warned
    ${0o600} | ${false}
    ${0o400} | ${false}
    ${0o440} | ${false}
    ${0o644} | ${true}
    ${0o660} | ${true}
    ${0o604} | ${true}
  `('with mode $mode warns: $warned', async ({ mode, warned }) => {
    await put('index')
    await put(kid(1))
    await chmod(join(dir, `${kid(1)}.key`), mode)
    const ring = await load()
    await look(ring)
    expect(log.messages('warn').filter((message) => message === 'key file is open to others')).toHaveLength(warned ? 1 : 0)
  })

  it('follows the symlinks of a Kubernetes mount through a swap', async () => {
    const version = async (name: string, files: Record<string, string>): Promise<void> => {
      await mkdir(join(dir, name))
      for (const [file, content] of Object.entries(files)) await writeFile(join(dir, name, `${file}.key`), content, { mode: 0o400 })
      await symlink(name, join(dir, '..data_tmp'))
      await rename(join(dir, '..data_tmp'), join(dir, '..data'))
      for (const file of Object.keys(files)) await symlink(`..data/${file}.key`, join(dir, `${file}.key`)).catch(() => {})
    }
    const [index, one, two] = [key(), key(), key()]
    await version('..2026_1', { index, [kid(1)]: one })
    clock = new FakeClock(after(NOON, minutes(0)))
    const ring = await load()
    expect(ring.sealing().kid).toBe(kid(1))
    await version('..2026_2', { index, [kid(1)]: one, [kid(2)]: two })
    await rm(join(dir, '..2026_1'), { recursive: true })
    await look(ring)
    expect(ring.find(kid(1))).toMatchObject({ kid: kid(1) })
    expect(ring.find(kid(2))).toMatchObject({ kid: kid(2) })
    await version('..2026_3', { index, [kid(2)]: two })
    await rm(join(dir, '..2026_2'), { recursive: true })
    await look(ring) // the symlink of the first key dangles now, until the kubelet removes it
    expect(ring.find(kid(1))).toBe('key-removed')
    expect(ring.sealing().kid).toBe(kid(2))
  })
})

describe('a rotation', () => {
  it('makes a ring from nothing, with files only the owner can read', async () => {
    const at = join(dir, 'new')
    const first = await rotateKeys(at, NOON)
    expect(first.indexCreated).toBe(true)
    expect((await readdir(at)).sort()).toEqual([`${first.kid}.key`, 'index.key'])
    for (const file of await readdir(at)) expect((await stat(join(at, file))).mode & 0o777).toBe(0o600)
    expect((await load(at)).sealing().kid).toBe(first.kid)
  })

  it('adds a key that sorts last and leaves the index key and the old keys as they are', async () => {
    const first = await rotateKeys(dir, NOON)
    const index = await readFile(join(dir, 'index.key'), 'utf8')
    const second = await rotateKeys(dir, after(NOON, minutes(-60)))
    expect(second.indexCreated).toBe(false)
    expect(second.kid > first.kid).toBe(true)
    expect(await readFile(join(dir, 'index.key'), 'utf8')).toBe(index)
    expect(await readdir(dir)).toHaveLength(3)
  })
})
