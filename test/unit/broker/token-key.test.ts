import { expect, it } from 'vitest'
import { makeAsk } from '../../../src/broker/token-key.ts'

it.each`
  one                                   | other                                       | same     | because
  ${['refresh', 'api://a', ['x', 'y']]} | ${['refresh', 'api://a', ['y', 'x']]}       | ${true}  | ${'the order of scopes says nothing'}
  ${['refresh', 'api://a', ['x', 'x']]} | ${['refresh', 'api://a', ['x']]}            | ${true}  | ${'nor do duplicates'}
  ${['refresh', 'api://a', ['x']]}      | ${['refresh', 'api://b', ['x']]}            | ${false} | ${'another audience'}
  ${['refresh', 'api://a', ['x']]}      | ${['refresh', 'api://a', ['x', 'y']]}       | ${false} | ${'more scopes'}
  ${['refresh', 'api://a', ['x']]}      | ${['client_credentials', 'api://a', ['x']]} | ${false} | ${'a user token is never an application token'}
  ${['refresh', undefined, ['x']]}      | ${['refresh', '', ['x']]}                   | ${false} | ${'no audience and an empty one'}
  ${['refresh', 'ab', ['c']]}           | ${['refresh', 'a', ['bc']]}                 | ${false} | ${'parts are length-prefixed'}
  ${['refresh', 'a', ['b c']]}          | ${['refresh', 'a', ['b', 'c']]}             | ${false} | ${'one scope with a space is not two'}
  ${['refresh', undefined, ['+', 'a']]} | ${['refresh', 'a', []]}                     | ${false} | ${'a scope cannot play the audience'}
`('$one and $other share a key: $same, $because', ({ one, other, same }) => {
  const [a, b] = [makeAsk(...(one as Parameters<typeof makeAsk>)), makeAsk(...(other as Parameters<typeof makeAsk>))]
  expect(a.key === b.key).toBe(same)
  expect(a.key).toMatch(/^[A-Za-z0-9_-]{22}$/)
})

it('keeps its keys from release to release: they are stored', () => {
  expect(makeAsk('refresh', 'api://orders', ['orders.read']).key).toMatchInlineSnapshot(`"Z4IuVh3vcbwlkmlU-8n_NQ"`)
})
