import { expect, it } from 'vitest'
import { watchIdentity } from '../../../src/session/identity-redis.ts'

const infoOf = (run: string, history = 'h', uptime = 0): string =>
  `# Server\r\nrun_id:${run}\r\nuptime_in_seconds:${uptime}\r\n# Replication\r\nrole:master\r\nmaster_replid:${history}\r\n`
const world = (trustsUptime: boolean) => {
  let ticks = 1_000_000
  return { identity: watchIdentity(trustsUptime, () => ticks), pass: (ms: number) => void (ticks += ms) }
}

it('one server is what it is for as long as it runs; one that sentinels name, or of a Cluster, since we met it', () => {
  const [alone, named] = [world(true), world(false)]
  expect([alone.identity.age(), named.identity.age()]).toEqual([0, 0])
  for (const { identity } of [alone, named]) expect(identity.met('', infoOf('a', 'h', 60))).toBe(false)
  expect([alone.identity.age(), named.identity.age()]).toEqual([60_000, 0])
})
it('a connection that comes back to the same server changes nothing once that is known', () => {
  const { identity, pass } = world(true)
  identity.met('', infoOf('a', 'h', 60))
  pass(1_000)
  identity.doubt('')
  expect(identity.age()).toBe(0)
  expect(identity.keep([''])).toEqual([''])
  expect(identity.met('', infoOf('a', 'h', 61))).toBe(false)
  expect(identity.age()).toBe(61_000)
})
it.each`
  run    | history | because
  ${'b'} | ${'h'}  | ${'it was started anew, or is another'}
  ${'a'} | ${'i'}  | ${'it was made the primary anew: another one was in between'}
`('a server that names itself otherwise is another one: $because', ({ run, history }: { run: string; history: string }) => {
  const { identity, pass } = world(true)
  identity.met('', infoOf('a', 'h', 60))
  identity.doubt('')
  expect(identity.met('', infoOf(run, history, 60))).toBe(true)
  expect(identity.age()).toBe(0)
  pass(500)
  expect(identity.age()).toBe(500)
})
it('a primary that was none in between is met anew, and one that is none any more is waited for by nobody', () => {
  const { identity, pass } = world(false)
  for (const place of ['one', 'two']) identity.met(place, infoOf(place))
  pass(60_000)
  identity.doubt('two')
  expect(identity.keep(['one'])).toEqual([])
  expect(identity.age()).toBe(60_000)
  expect(identity.keep(['one', 'two'])).toEqual(['two'])
  expect(identity.met('two', infoOf('two'))).toBe(true)
  expect(identity.age()).toBe(0)
})
