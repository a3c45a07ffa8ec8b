import { expect, it } from 'vitest'
import { ephemeralKeyring } from '../../../src/crypto/keyring.ts'
import { createSealer } from '../../../src/crypto/seal.ts'
import type { OnceStore } from '../../../src/domain/session-store.ts'
import { createLogoutContinue } from '../../../src/flows/logout-continue.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { createMemoryOnceStore } from '../../../src/session/once-store.ts'
import { canary } from '../../harness/canary.ts'
import { manualClock } from '../../harness/clock.ts'
import { the } from '../../harness/the.ts'

const setUp = (over: Partial<OnceStore> = {}) => {
  const stored: string[] = []
  const once = createMemoryOnceStore({ clock: manualClock() })
  const put: OnceStore['put'] = (purpose, name, sealed, forMs) => {
    stored.push(name, sealed)
    return once.put(purpose, name, sealed, forMs)
  }
  const sealer = createSealer({ keyring: ephemeralKeyring(the.now) })
  return { stored, continuation: createLogoutContinue({ app: 'default', once: { ...once, put, ...over }, sealer }) }
}
const hint = canary('hint')
const url = () => Secret.of('logout-url', `https://login.example.com/logout?id_token_hint=${hint}`)

it('yields the URL once, to whoever has the ref', async () => {
  const { continuation } = setUp()
  const ref = await continuation.put(url())
  const first = await continuation.take(ref)
  expect(first.kind === 'found' && first.url.reveal()).toBe(url().reveal())
  expect(await continuation.take(ref)).toEqual({ kind: 'absent' })
})

it('leaves nothing in the store that names the ref or holds the URL in clear', async () => {
  const { continuation, stored } = setUp()
  const ref = await continuation.put(url())
  expect(stored).toHaveLength(2)
  for (const text of stored) {
    expect(text).not.toContain(ref)
    expect(text).not.toContain(hint)
  }
})

it.each([undefined, '', 'x', `${'a'.repeat(43)}=`, 'a'.repeat(44), '../../../../etc/passwd'])('%j asks the store nothing', async (ref) => {
  const { continuation } = setUp({ take: () => Promise.reject(new Error('asked')) })
  expect(await continuation.take(ref)).toEqual({ kind: 'absent' })
})

it('an outage is said, not guessed', async () => {
  const { continuation } = setUp({ put: async () => 'unavailable', take: async () => 'unavailable' })
  expect(await continuation.put(url())).toBeUndefined()
  expect(await continuation.take('a'.repeat(43))).toEqual({ kind: 'unavailable' })
})
