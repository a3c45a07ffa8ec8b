import type { ServerResponse } from 'node:http'

/** What hears of a response: once when it is over, and each time it takes more. */
export interface Follower {
  closed(): void
  drained(): void
}

/** Finds the follower of a response without a closure per request. */
const FOLLOWER = Symbol('follower')
interface Carrier extends ServerResponse {
  [FOLLOWER]?: Follower
}

/** The response's only close listener. */
export const follow = (response: ServerResponse, follower: Follower): void => {
  const carrier: Carrier = response
  carrier[FOLLOWER] = follower
  response.on('close', onClose)
}
/** `drained`, once. */
export const followDrain = (response: ServerResponse): void => void response.once('drain', onDrain)

function onClose(this: Carrier): void {
  this[FOLLOWER]?.closed()
}
function onDrain(this: Carrier): void {
  this[FOLLOWER]?.drained()
}
