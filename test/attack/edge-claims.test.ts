import { afterEach, describe, expect, it } from 'vitest'
import type { Broker } from '../../src/domain/broker.ts'
import type { Session } from '../../src/domain/session.ts'
import type { SessionStore } from '../../src/domain/session-store.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { type EdgeHost, edgeHost, fetching, signedIn } from '../harness/edge-host.ts'
import { the } from '../harness/the.ts'

let host: EdgeHost
afterEach(() => host.close())

/** A broker whose every answer takes a refresh, which brings an ID token with these roles. */
const renewing =
  (roles: readonly string[]) =>
  (store: SessionStore): Partial<Broker> => {
    const renew = async (session: Session): Promise<void> => {
      const claims = { ...session.grant.claims, roles: [...roles] }
      await store.save(session, { grant: { ...session.grant, claims }, tokens: [] })
    }
    return {
      isConfirmed: ({ session }) => session.rtGen > 1,
      confirm: async ({ session }) => {
        await renew(session)
        return { kind: 'confirmed' }
      },
    }
  }

describe('the rule of a route reads the claims that the request’s own refresh brought', () => {
  it('who has just lost the role does not get through', async () => {
    host = await edgeHost({ broker: renewing([]) })
    const cookie = await signedIn(host)
    const got = await host.ask('/api/reports', { headers: { ...fetching, cookie } })
    expect([got.status, host.upstreamSaw]).toEqual([403, []])
    expect(host.events.at(-1)).toMatchObject({ event: 'access.denied', rule: 'role' })
    expect(host.access.map(({ status }) => status)).toEqual([403])
  })

  it('who still has it does', async () => {
    host = await edgeHost({ broker: renewing(['reader']) })
    const cookie = await signedIn(host)
    expect((await host.ask('/api/reports', { headers: { ...fetching, cookie } })).status).toBe(200)
  })

  it.each(['/api/reports', '/api/orders'])('and a session that ended meanwhile is not served on by %s', async (path) => {
    host = await edgeHost({
      broker: (store) => ({
        isConfirmed: () => false,
        confirm: async ({ session }) => {
          await store.end(session.ref, 'admin')
          return { kind: 'confirmed' }
        },
        user: async ({ session }) => {
          await store.end(session.ref, 'admin')
          const token = { key: the.orders.key, token: Secret.of('access-token', 'x'), issuedAt: session.card.createdAt, scopes: [] }
          return { kind: 'issued', access: { ...token, expiresAt: session.card.endsAt } }
        },
      }),
    })
    const cookie = await signedIn(host)
    const got = await host.ask(path, { headers: { ...fetching, cookie } })
    expect([got.status, host.upstreamSaw]).toEqual([401, []])
  })
})
