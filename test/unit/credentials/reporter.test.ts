import { expect, it } from 'vitest'
import { createReporter } from '../../../src/credentials/reporter.ts'
import { answered, EMPTY, looked, told } from '../../../src/credentials/rotation.ts'
import type { Rotation } from '../../../src/credentials/rotation.ts'
import type { AuditEvent } from '../../../src/domain/audit-event.ts'
import type { CredentialId } from '../../../src/domain/credential.ts'
import { instant } from '../../../src/kernel/time.ts'
import { ROTATION } from '../../harness/credential-set.ts'
import { recordingLog } from '../../harness/provider-room.ts'

const DAY = 86_400_000
const NOW = instant(Date.UTC(2026, 10, 2, 12))
const at = (days: number) => instant(NOW + days * DAY)
const id = (name: string): CredentialId => name as CredentialId
const file = (name: string, from: number, to: number) => ({ id: id(name), source: 0, notBefore: at(from), notAfter: at(to) })

const reporting = () => {
  const { log, lines } = recordingLog()
  const events: AuditEvent[] = []
  const gauges = new Map<string, number>()
  const reporter = createReporter({
    provider: 'default',
    log,
    metrics: {
      count: () => undefined,
      observe: () => undefined,
      gauge: (name, value, labels) => void gauges.set(`${name} ${String(Object.values(labels).at(-1))}`, value),
    },
    audit: { record: (event) => void events.push(event) },
  })
  let state: Rotation = EMPTY
  const go = (next: Rotation, now = NOW): void => {
    reporter.stepped(state, next, new Map(), now)
    state = next
  }
  const gauge = (name: string): number | undefined => gauges.get(`sallyport_credentials_state ${name}`)
  return { lines, events, gauge, go, state: () => state, said: () => lines.map(({ level, message }) => `${level}: ${message}`) }
}

it('the end is announced thirty days before and at each step closer, once each, for the one in use and the one to come only', () => {
  const r = reporting()
  for (const days of [0, 0.5, 1, 2, 10, 17, 18, 24, 28, 28.5, 30, 30.5]) {
    const next = looked({ ...r.state() }, [file('old', -9, 31), file('older', -10, 31)], at(days), ROTATION)
    r.go(next, at(days))
  }
  const warned = r.lines.filter(({ message }) => message.includes('ends soon'))
  expect(warned.filter(({ facts }) => facts.kid === 'older').map(({ facts }) => facts.count)).toEqual([30, 14, 7, 3, 1])
  expect(new Set(warned.map(({ level }) => level))).toEqual(new Set(['warn']))
})

it('a promotion, a withdrawal and the first rejection are each said once, to whom they concern', () => {
  const r = reporting()
  r.go(looked(EMPTY, [file('old', -9, 99)], NOW, ROTATION))
  const seen = (name: string, kind: 'accepted' | 'rejected') =>
    r.go(
      answered(
        r.state(),
        { id: id(name), verdict: kind === 'accepted' ? { kind } : { kind, code: 'AADSTS700027' }, random: 0 },
        NOW,
        ROTATION,
      ),
    )
  seen('old', 'accepted')
  r.go(looked(r.state(), [file('old', -9, 99), file('new', -1, 99)], NOW, ROTATION))
  for (let n = 0; n < 3; n += 1) seen('new', 'rejected')
  expect(r.said().filter((line) => line.includes('waits'))).toEqual(['info: client credential waits for its registration'])
  r.go(told(r.state(), [{ id: id('new'), kind: 'accepted', at: at(0.001) }], at(0.0011), ROTATION))
  r.go(told(r.state(), [{ id: id('new'), kind: 'withdrawn', at: at(0.001) }], at(0.0011), ROTATION))
  r.go(told(r.state(), [{ id: id('new'), kind: 'withdrawn', at: at(0.001) }], at(0.0012), ROTATION))
  expect(r.events).toEqual([
    { event: 'credential.activated', provider: 'default', credential: 'old' },
    { event: 'credential.activated', provider: 'default', credential: 'new' },
    { event: 'credential.activated', provider: 'default', credential: 'old' },
    { event: 'credential.withdrawn', provider: 'default', credential: 'new' },
  ])
  expect([r.gauge('old'), r.gauge('new')]).toEqual([3, 0])
})

it('a rejection of the credential in use is an error today, and its gauge stays at active', () => {
  const r = reporting()
  r.go(looked(EMPTY, [file('only', -9, 99)], NOW, ROTATION))
  for (let n = 0; n < 5; n += 1)
    r.go(answered(r.state(), { id: id('only'), verdict: { kind: 'rejected', code: 'invalid_client' }, random: 0 }, NOW, ROTATION))
  expect(r.said().filter((line) => line.startsWith('error'))).toEqual(['error: provider rejects the client credential in use'])
  expect(r.gauge('only')).toBe(3)
  r.go(looked({ ...r.state(), entries: [] }, [], NOW, ROTATION))
  expect(r.gauge('only')).toBe(0)
})

// Under load that was a line of log with every other request.
it('a provider that takes it and rejects it by turns is said once in a while', () => {
  const r = reporting()
  r.go(looked(EMPTY, [file('only', -9, 99)], NOW, ROTATION))
  for (let n = 0; n < 200; n += 1) {
    const now = instant(NOW + n * 1000)
    const verdict = n % 2 === 0 ? ({ kind: 'rejected', code: 'AADSTS700027' } as const) : ({ kind: 'accepted' } as const)
    r.go(answered(r.state(), { id: id('only'), verdict, random: 0 }, now, ROTATION), now)
  }
  expect(r.said().filter((line) => line.startsWith('error')).length).toBe(1)
  const later = instant(NOW + 400_000)
  r.go(answered(r.state(), { id: id('only'), verdict: { kind: 'rejected', code: 'AADSTS700027' }, random: 0 }, later, ROTATION), later)
  expect(r.said().filter((line) => line.startsWith('error')).length).toBe(2)
})
