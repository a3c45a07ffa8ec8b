import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { certificateDirSource } from '../../../src/credentials/source-certificate-file.ts'
import type { CredentialVerdict } from '../../../src/domain/credential.ts'
import { instant, minutes } from '../../../src/kernel/time.ts'
import { createMemoryCredentialBoard } from '../../../src/session/credential-board.ts'
import { manualClock, settle } from '../../harness/clock.ts'
import { credentialSet } from '../../harness/credential-set.ts'
import type { TestSet } from '../../harness/credential-set.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const DAY = 86_400_000
const OLD = selfSigned({ kind: 'ec', notBefore: new Date(Date.now() - 2 * DAY) })
const NEW = selfSigned({ kind: 'ec' })
const names = new Map([
  [OLD.thumbprint, 'old'],
  [NEW.thumbprint, 'new'],
])

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-restart-'))
  await writeFile(join(dir, 'old.crt'), OLD.certificate)
  await writeFile(join(dir, 'old.key'), OLD.key)
})
afterEach(() => rm(dir, { recursive: true }))

/** One replica whose process comes and goes; what it said to the others stays in the store. */
const replica = async () => {
  const clock = manualClock(instant(Date.now()))
  const board = createMemoryCredentialBoard()
  let test: TestSet
  const begin = async (): Promise<void> => {
    test = await credentialSet([certificateDirSource({ dir, method: 'private_key_jwt' })], { clock, board })
    test.set.start(undefined)
    await settle(9) // it listens first
  }
  await begin()
  const nameOf = (credential: unknown): string => names.get(String(Reflect.get(Object(credential), 'thumbprint'))) ?? 'none'
  return {
    clock,
    kill: async () => {
      void test.set.stop()
      await begin()
    },
    put: async () => {
      await writeFile(join(dir, 'new.crt'), NEW.certificate)
      await writeFile(join(dir, 'new.key'), NEW.key)
      await test.set.reload()
    },
    says: async (name: string, kind: CredentialVerdict['kind'] = 'accepted') => {
      const credential = [test.set.current(), ...test.set.fallbacks()].find((one) => nameOf(one) === name)
      if (credential) test.set.report(credential, kind === 'rejected' ? { kind, code: 'AADSTS700027' } : { kind: 'accepted' })
      await settle()
    },
    withdraw: async (name: string) => {
      const one = test.set.overview().credentials.find(({ id }) => names.get(id) === name)
      if (one) await test.set.withdraw(one.id, false)
    },
    uses: () => [test.set.current(), ...test.set.fallbacks()].map(nameOf).filter((name) => name !== 'none'),
    states: () =>
      test.set
        .overview()
        .credentials.map(({ id, state }) => `${names.get(id)} ${state}`)
        .toSorted(),
  }
}

it('a process that is killed at each step of a rotation takes it up where it was', async () => {
  const r = await replica()
  const steps: string[] = []
  const again = async (): Promise<void> => {
    const before = r.uses()
    await r.kill()
    steps.push(`${r.uses().join()} | ${r.states().join()}`)
    expect(r.uses()).toEqual(before)
  }
  // candidate for want of anything else
  await again()
  await r.says('old')
  await again()
  // probing, waiting for its registration
  await r.put()
  await r.says('new', 'rejected')
  await again()
  // probing, accepted so far
  await r.says('new')
  await again()
  // active, and the other retiring
  for (let n = 0; n < 3; n += 1) {
    await r.says('new')
    await r.clock.advance(minutes(1))
  }
  await again()
  // withdrawn
  await r.withdraw('new')
  await again()
  expect(steps).toEqual([
    'old | old active',
    'old | old active',
    'old,new | new probing,old active',
    'old,new | new probing,old active',
    'new,old | new active,old retiring',
    'old | new withdrawn,old active',
  ])
})

it('after a longer while than words last, both are at hand, and the first that is accepted is used', async () => {
  const r = await replica()
  await r.put()
  for (let n = 0; n < 3; n += 1) {
    await r.says('new')
    await r.clock.advance(minutes(1))
  }
  expect(r.uses()).toEqual(['new', 'old'])
  await r.clock.advance(minutes(16))
  await r.kill()
  expect(r.uses()).toEqual(['old', 'new'])
  await r.says('old', 'rejected')
  await r.says('new')
  expect(r.uses()[0]).toBe('new')
})
