import { brokerOverStore } from './broker-over-store.ts'
import { memoryWorld } from './session-store-kit.ts'

brokerOverStore('the memory store', memoryWorld)
