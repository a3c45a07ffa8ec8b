import { expect, it } from 'vitest'
import { mySessions, type MySessionsDeps } from '../../../src/flows/my-sessions.ts'
import { a } from '../../harness/the.ts'

it('a subject whose index never ends costs ten looks at it, and still sees its own session', async () => {
  let looks = 0
  const directory: MySessionsDeps['directory'] = {
    ofSubject: async () => {
      looks += 1
      return { sessions: [], unreadable: 0, next: String(looks) }
    },
    isOfSubject: async () => false,
    forget: async () => {},
  }
  const held = a.held()
  const listed = await mySessions({ directory, store: { end: async () => 'absent' }, audit: { record: () => {} } }, held)
  expect(listed).toEqual([{ card: held.session.card, lastSeenAt: held.lastSeenAt }])
  expect(looks).toBe(10)
})
