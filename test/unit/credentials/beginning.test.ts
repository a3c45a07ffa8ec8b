import { afterEach, describe, expect, it } from 'vitest'
import type { Loaded, Source } from '../../../src/credentials/loaded.ts'
import { readPair } from '../../../src/credentials/certificate.ts'
import type { CredentialId, CredentialVerdict } from '../../../src/domain/credential.ts'
import { instant, minutes, seconds } from '../../../src/kernel/time.ts'
import { createMemoryCredentialBoard } from '../../../src/session/credential-board.ts'
import { manualClock } from '../../harness/clock.ts'
import { credentialSet } from '../../harness/credential-set.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const pair = (): Loaded => {
  const { certificate, key, thumbprint } = selfSigned({ kind: 'ec', notBefore: new Date(Date.now() - 86_400_000) })
  const read = readPair(certificate, key, 'tls.crt')
  if (read.kind !== 'usable') throw new Error(read.fault)
  const { credential } = read
  return { id: thumbprint as CredentialId, credential, file: 'tls.crt', notBefore: credential.notBefore, notAfter: credential.notAfter }
}
const [PAIR, OTHER] = [pair(), pair()]
const REJECTED: CredentialVerdict = { kind: 'rejected', code: 'invalid_client' }
const ACCEPTED: CredentialVerdict = { kind: 'accepted' }

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

const starting = async (held: Loaded, board = createMemoryCredentialBoard()) => {
  const manual = manualClock(instant(Date.now()))
  const source: Source = {
    setting: 'certificate_file',
    place: 'x',
    isStaged: false,
    look: async () => ({ kind: 'seen', loaded: [held], faults: [] }),
  }
  const { set } = await credentialSet([source], { clock: manual, board })
  stops.push(() => set.stop())
  let says: CredentialVerdict | 'nothing' = 'nothing'
  let asked = 0
  return {
    set,
    board,
    says: (verdict: typeof says) => (says = verdict),
    asked: () => asked,
    begin: async () => {
      set.start(
        () => {
          asked += 1
          return says === 'nothing' ? new Promise(() => undefined) : Promise.resolve(says)
        },
        () => false,
      )
      await manual.advance(1)
    },
    wait: (ms: number) => manual.advance(ms),
  }
}

/** A fleet that works with another certificate, as it has told within the last minutes. */
const predecessors = async () => {
  const one = await starting(OTHER)
  one.says(ACCEPTED)
  await one.begin()
  one.set.report(OTHER.credential, ACCEPTED)
  await one.wait(seconds(1))
  return one.board
}

describe('a replica that comes with a certificate of its own to others that work', () => {
  it('stays away from traffic while the provider rejects it, and comes by itself once it is taken', async () => {
    const replica = await starting(PAIR, await predecessors())
    replica.says(REJECTED)
    await replica.begin()
    expect([replica.set.isReady(), replica.asked()]).toEqual([false, 1])
    await replica.wait(minutes(1))
    expect(replica.set.isReady()).toBe(false)
    replica.set.report(PAIR.credential, ACCEPTED)
    expect(replica.set.isReady()).toBe(true)
  })
  it('that is taken is ready, and no later rejection takes it out of service: sessions with good tokens need nobody', async () => {
    const replica = await starting(PAIR, await predecessors())
    replica.says(ACCEPTED)
    await replica.begin()
    expect([replica.set.isReady(), replica.asked()]).toEqual([true, 1])
    for (let i = 0; i < 5; i += 1) replica.set.report(PAIR.credential, REJECTED)
    await replica.wait(minutes(1))
    expect(replica.set.isReady()).toBe(true)
  })
  it('is held up for five seconds at most by a provider that does not answer', async () => {
    const replica = await starting(PAIR, await predecessors())
    await replica.begin()
    expect(replica.set.isReady()).toBe(false)
    await replica.wait(seconds(4))
    expect(replica.set.isReady()).toBe(false)
    await replica.wait(seconds(2))
    expect(replica.set.isReady()).toBe(true)
  })
  it('asks nobody when they have said that it is taken', async () => {
    const replica = await starting(OTHER, await predecessors())
    replica.says(REJECTED)
    await replica.begin()
    expect([replica.set.isReady(), replica.asked()]).toEqual([true, 0])
  })
})

it('the first of all asks nobody: a provider that fetches client keys has to be able to reach it', async () => {
  const replica = await starting(PAIR)
  replica.says(REJECTED)
  await replica.begin()
  expect([replica.set.isReady(), replica.asked()]).toEqual([true, 0])
})
