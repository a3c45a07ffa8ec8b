/** Holds named operations of a port, so that a race happens on purpose and not by luck. */
export interface Barriers<Port> {
  /** The port with its operations passing through the barriers. */
  readonly port: Port
  /** The next call of `name` stops there: before it begins, or when it is done and before its caller hears of it. */
  hold(name: keyof Port & string, at: 'before' | 'after'): Barrier
}

export interface Barrier {
  /** Resolves when somebody stands at the barrier. */
  readonly reached: Promise<void>
  release(): void
}

interface Gate {
  readonly at: 'before' | 'after'
  readonly arrive: () => void
  readonly opened: Promise<void>
}

/** A decorator around any object whose methods return promises. Each barrier stops one call; others pass. */
export const withBarriers = <Port extends object>(inner: Port): Barriers<Port> => {
  const gates = new Map<string, Gate>()
  const port = new Proxy(inner, {
    get: (target, name, receiver) => {
      const member: unknown = Reflect.get(target, name, receiver)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]): Promise<unknown> => {
        const gate = gates.get(String(name))
        gates.delete(String(name))
        const pass = async (at: 'before' | 'after'): Promise<void> => {
          if (gate?.at !== at) return
          gate.arrive()
          await gate.opened
        }
        await pass('before')
        const answer: unknown = await Reflect.apply(member, target, args)
        await pass('after')
        return answer
      }
    },
  })
  return {
    port,
    hold: (name, at) => {
      const arrival = Promise.withResolvers<void>()
      const opening = Promise.withResolvers<void>()
      gates.set(name, { at, arrive: arrival.resolve, opened: opening.promise })
      return { reached: arrival.promise, release: opening.resolve }
    },
  }
}
