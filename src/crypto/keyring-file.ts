import type { KeyObject } from 'node:crypto'
import type { FileLook, FileWatch, Watched } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import { after, seconds } from '../kernel/time.ts'
import type { KeyringChange, PresentKey, VisibleKeyring } from './keyring.ts'
import { findKey, nextRing, sealingKey } from './keyring.ts'
import type { SeenKeys } from './key-dir-file.ts'
import { INDEX, readKeyDir } from './key-dir-file.ts'

const RELOAD_AT_MOST_EVERY = seconds(5)

export class KeyringError extends Error {
  readonly code: 'keyring.directory-unreadable' | 'keyring.empty' | 'keyring.index-key-absent'
  constructor(code: KeyringError['code'], message: string) {
    super(message)
    this.name = 'KeyringError'
    this.code = code
  }
}

export interface KeyringFileDeps {
  readonly dir: string
  /** `session.keys_settle`. */
  readonly settleMs: Millis
  readonly clock: Clock
  readonly log: Log
  readonly watch: FileWatch
  /** For the audit stream. Must not throw. */
  readonly onChange?: (change: KeyringChange) => void
  /** The setting that names the folder, for messages. */
  readonly setting?: string
}

/** @throws KeyringError when the directory holds no usable key or no index key: a gateway that cannot open its sessions does not start. */
export const openKeyringFiles = async (deps: KeyringFileDeps): Promise<VisibleKeyring> => {
  const ring = new Ring(deps)
  await ring.first()
  ring.watch()
  return ring
}

class Ring implements VisibleKeyring {
  readonly #deps: KeyringFileDeps
  readonly #warned = new Set<string>()
  #keys: readonly PresentKey[] = []
  #index: KeyObject | undefined
  #active: string | undefined
  #reloadedAt: Instant | undefined
  #reloading: Promise<void> | undefined
  #watched: Watched | undefined

  constructor(deps: KeyringFileDeps) {
    this.#deps = deps
  }

  async first(): Promise<void> {
    const seen = await readKeyDir(this.#deps.dir)
    const setting = this.#setting()
    if (seen === 'unreadable') throw new KeyringError('keyring.directory-unreadable', `${setting} cannot be read`)
    this.#warnOf(seen)
    if (!seen.index)
      throw new KeyringError('keyring.index-key-absent', `${setting} holds no usable index.key: run \`sallyport keys rotate\``)
    if (seen.keys.size === 0) throw new KeyringError('keyring.empty', `${setting} holds no usable key: run \`sallyport keys rotate\``)
    this.#index = seen.index
    this.#keys = nextRing(undefined, seen.keys, seen.unreadable, this.#deps.clock.now()).ring
    this.sealing()
  }

  sealing(): PresentKey {
    const key = sealingKey(this.#keys, this.#deps.settleMs, this.#deps.clock.now())
    if (key.kid !== this.#active) {
      this.#active = key.kid
      this.#deps.log.info({ kid: key.kid }, 'sealing key activated')
      this.#deps.onChange?.({ kind: 'activated', kid: key.kid })
    }
    return key
  }

  present(): readonly PresentKey[] {
    return this.#keys
  }

  find(kid: string): PresentKey | 'key-unknown' | 'key-removed' {
    return findKey(this.#keys, kid)
  }

  indexKey(): KeyObject {
    if (!this.#index) throw new Error('the keyring was not loaded')
    return this.#index
  }

  /** Anybody can name a key id that nobody has: this is why the looks it causes are counted. */
  async reload(): Promise<void> {
    const now = this.#deps.clock.now()
    if (this.#reloadedAt !== undefined && now < after(this.#reloadedAt, RELOAD_AT_MOST_EVERY)) return this.#reloading
    this.#reloadedAt = now
    this.#reloading = this.#watched?.look()
    return this.#reloading
  }

  /** One look at a time: two that overlap could take a key away that the other has just added. */
  watch(): void {
    this.#watched = this.#deps.watch.add(this.#setting(), () => this.#take())
  }

  #setting(): string {
    return this.#deps.setting ?? 'session.keys_dir'
  }

  async #take(): Promise<FileLook> {
    const seen = await readKeyDir(this.#deps.dir)
    const next = seen === 'unreadable' ? undefined : nextRing(this.#keys, seen.keys, seen.unreadable, this.#deps.clock.now())
    if (seen === 'unreadable' || !next || next.ring.length === 0) {
      // An unmounted or emptied directory is a mistake of operations, not the wish to sign everybody out: the keys we hold stay.
      this.#warnOnce(
        'keys-dir',
        { file: this.#deps.dir, reason: seen === 'unreadable' ? 'unreadable' : 'empty' },
        'no key in session.keys_dir, the old ones stay',
      )
      return { outcome: 'kept' }
    }
    this.#warned.delete('keys-dir')
    this.#warnOf(seen)
    this.#warnOfChanges(seen)
    this.#keys = next.ring
    for (const kid of next.added)
      this.#deps.log.info({ kid, ms: this.#deps.settleMs }, 'sealing key present, opens now and seals once settled')
    for (const kid of next.removed) {
      this.#deps.log.warn({ kid }, 'sealing key removed, what was sealed with it has ended')
      this.#deps.onChange?.({ kind: 'removed', kid })
    }
    this.sealing()
    if (next.added.length + next.removed.length > 0) return { outcome: 'replaced' }
    return { outcome: seen.broken.length > 0 ? 'kept' : 'unchanged' }
  }

  #warnOf(seen: SeenKeys): void {
    for (const file of seen.broken)
      this.#warnOnce(`broken ${file}`, { file, hint: '32 bytes, base64url, named <kid>.key' }, 'key file ignored')
    for (const file of seen.exposed)
      this.#warnOnce(`exposed ${file}`, { file, hint: 'mode 0400, or 0440 with an fsGroup' }, 'key file is open to others')
  }

  #warnOfChanges(seen: SeenKeys): void {
    const changed = this.#keys.filter((held) => seen.keys.get(held.kid)?.key.equals(held.key) === false).map((held) => held.kid)
    if (seen.index && this.#index && !seen.index.equals(this.#index)) changed.push(INDEX)
    for (const kid of changed)
      this.#warnOnce(
        `changed ${kid}`,
        { kid, hint: 'a key never changes: add a new one' },
        'key file changed, the old content stays until the restart',
      )
  }

  #warnOnce(name: string, facts: Parameters<Log['warn']>[0], message: string): void {
    if (this.#warned.has(name)) return
    this.#warned.add(name)
    this.#deps.log.warn(facts, message)
  }
}
