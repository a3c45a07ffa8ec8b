import { randomUUID } from 'node:crypto'
import { start } from '../../src/assembly/start.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { SessionStore } from '../../src/domain/session-store.ts'

/** The gateway with what keeps a refresh token from being sent twice taken out of its store: everybody gets the lease, nobody finds a mark. */
const unguarded = (store: SessionStore): SessionStore =>
  new Proxy(store, {
    get: (target, name) => {
      if (name in without) return Reflect.get(without, name)
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })

const without: Pick<SessionStore, 'acquireLease' | 'renewLease' | 'releaseLease' | 'markSpending'> = {
  acquireLease: async (ref) => ({ ref, fence: randomUUID() }),
  renewLease: async () => 'renewed',
  releaseLease: async () => {},
  markSpending: async () => ({ kind: 'marked' }),
}

const loaded = loadSettings({ file: process.argv.at(-1) ?? '', env: process.env })
if (loaded.kind === 'refused') throw new Error(loaded.findings.map((finding) => finding.code).join(', '))
const gateway = await start(loaded.settings, { version: 'test', decorateStore: unguarded })
await gateway.stopped
