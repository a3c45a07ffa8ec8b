import { describe, expect, it } from 'vitest'
import { newsOf } from '../../../src/credentials/news.ts'
import { answered, EMPTY, looked, settled, told } from '../../../src/credentials/rotation.ts'
import type { Rotation } from '../../../src/credentials/rotation.ts'
import type { CredentialId, CredentialVerdict } from '../../../src/domain/credential.ts'
import { instant } from '../../../src/kernel/time.ts'
import { ROTATION } from '../../harness/credential-set.ts'

const NOW = 1_700_000_000_000
const id = (name: string): CredentialId => name as CredentialId
const found = (...names: readonly string[]) =>
  names.map((name, n) => ({ id: id(name), source: 0, notBefore: instant(NOW - 10_000 + n), notAfter: instant(NOW + 1e9) }))
const look = (state: Rotation, ms: number, ...names: readonly string[]): Rotation =>
  looked(state, found(...names), instant(NOW + ms), ROTATION)
const heard = (state: Rotation, ms: number, name: string, kind: CredentialVerdict['kind']): Rotation =>
  answered(
    state,
    { id: id(name), random: 0, verdict: kind === 'rejected' ? { kind, code: 'x' } : kind === 'none' ? { kind, cause: 'x' } : { kind } },
    instant(NOW + ms),
    ROTATION,
  )

describe('whoever was refused for want of a credential hears', () => {
  const start = look(EMPTY, 0, 'old')
  const rejected = heard(start, 1, 'old', 'rejected')
  it.each<[string, Rotation, Rotation, string | undefined]>([
    ['of one that was not there', start, look(start, 1, 'old', 'new'), 'another'],
    ['of an acceptance', start, heard(start, 1, 'old', 'accepted'), 'accepted'],
    ['of an acceptance after a rejection', rejected, heard(rejected, 2, 'old', 'accepted'), 'accepted'],
    [
      'of an acceptance elsewhere',
      rejected,
      told(rejected, [{ id: id('old'), kind: 'accepted', at: instant(NOW + 2) }], instant(NOW + 3), ROTATION),
      'accepted',
    ],
    [
      'of an order to use another one',
      look(start, 1, 'old', 'new'),
      told(look(start, 1, 'old', 'new'), [{ id: id('new'), kind: 'promoted', at: instant(NOW + 2) }], instant(NOW + 3), ROTATION),
      'another',
    ],
    [
      'nothing of what was accepted elsewhere before it was rejected here',
      heard(start, 5, 'old', 'rejected'),
      told(heard(start, 5, 'old', 'rejected'), [{ id: id('old'), kind: 'accepted', at: instant(NOW + 2) }], instant(NOW + 6), ROTATION),
      undefined,
    ],
    ['nothing of a rejection', start, rejected, undefined],
    ['nothing of silence', start, heard(start, 1, 'old', 'none'), undefined],
    ['nothing of time', rejected, settled(rejected, instant(NOW + 5_000), ROTATION), undefined],
    ['nothing of one that is gone', look(start, 1, 'old', 'new'), look(look(start, 1, 'old', 'new'), 2, 'old'), undefined],
  ])('%s', (_what, before, after, news) => {
    expect(newsOf(before, after)).toBe(news)
  })
})
