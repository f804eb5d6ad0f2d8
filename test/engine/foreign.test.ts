/** Agents with a SQL client that is not the store's own. */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as path from "node:path"
import * as Burrow from "../../src/layers/Burrow.js"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as RuntimeStoreMemory from "../../src/layers/RuntimeStoreMemory.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { connect, folder } from "../sql/support.js"

const holding = (client: SqlClient.SqlClient): Context.Context<never> =>
  Context.make(SqlClient.SqlClient, client) as Context.Context<never>

const none = Context.empty() as Context.Context<never>

describe("a store's isForeign", () => {
  it.scoped("of memory is never so", () =>
    Effect.gen(function*() {
      const { isForeign } = Context.get(yield* Layer.build(RuntimeStoreMemory.layer), RuntimeStore)
      assert.isFalse(isForeign(none))
      assert.isFalse(isForeign(holding(yield* connect(":memory:"))))
    }))

  it.scoped("of a SQLite file is so for any client but the store's own, also for one of the same file", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const context = yield* Layer.build(RuntimeStoreSqlite.layer({ filename }))
      const { isForeign } = Context.get(context, RuntimeStore)
      const own = Context.get(context, SqlClient.SqlClient)
      assert.isFalse(isForeign(none))
      assert.isFalse(isForeign(holding(own)))
      assert.isFalse(isForeign(context as Context.Context<never>))
      assert.isTrue(isForeign(holding(yield* connect(":memory:"))))
      assert.isTrue(isForeign(holding(yield* connect(filename))))
    }))

  it.scoped("of a SQLite file asks nobody to wait: also inside a transaction of its own", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const context = yield* Layer.build(RuntimeStoreSqlite.layer({ filename }))
      const own = Context.get(context, SqlClient.SqlClient)
      const { isForeign } = Context.get(context, RuntimeStore)
      assert.isFalse(yield* own.withTransaction(Effect.map(Effect.context<never>(), isForeign)))
      assert.isFalse(yield* own.withTransaction(Effect.sync(() => isForeign(holding(own)))))
    }))

  it.scoped("takes what a client makes of itself for the same client", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const client = yield* SqliteClient.make({ filename, transformResultNames: (name) => name }).pipe(
        Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make)
      )
      const store = Layer.provide(RuntimeStoreSqlite.layerFromClient(), Layer.succeed(SqlClient.SqlClient, client))
      const { isForeign } = Context.get(yield* Layer.build(store), RuntimeStore)
      assert.notStrictEqual(client.withoutTransforms(), client)
      for (const same of [client, client.safe, client.withoutTransforms()]) assert.isFalse(isForeign(holding(same)))
    }))

  it.scoped("of guests and readers compares with their own client too", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const owner = yield* Layer.build(RuntimeStoreSqlite.layer({ filename }))
      const guest = yield* Layer.build(RuntimeStoreSqlite.layerGuest({ filename }))
      const reader = yield* Layer.build(RuntimeStoreSqlite.layerReader({ filename }))
      const theirs = Context.get(guest, SqlClient.SqlClient)
      assert.isFalse(Context.get(guest, RuntimeStore).isForeign(holding(theirs)))
      assert.isTrue(Context.get(guest, RuntimeStore).isForeign(owner as Context.Context<never>))
      assert.isTrue(Context.get(reader, RuntimeStore).isForeign(holding(theirs)))
      assert.isFalse(Context.get(reader, RuntimeStore).isForeign(none))
    }))
})

const register = <E>(layer: Layer.Layer<ControlPlane, E>, client: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    const plane = Context.get(yield* Layer.build(layer), ControlPlane)
    const registered = yield* plane.register("a", { apply: () => Effect.succeed({ result: "done" }) }).pipe(
      Effect.provideService(SqlClient.SqlClient, client),
      Effect.either
    )
    return { plane, registered }
  })

describe("register", () => {
  it.scoped("refuses an agent whose SqlClient is not the store's own, and registers nothing", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const { plane, registered } = yield* register(
        BurrowSqlite.layer({ filename }),
        yield* connect(":memory:")
      )
      assert.deepInclude(registered, { _tag: "Left" })
      if (registered._tag === "Right") return
      const error = registered.left
      assert.strictEqual(error._tag, "ForeignSqlClient")
      assert.include(error.message, "Agent a ")
      yield* plane.register("a", { apply: () => Effect.succeed({ result: "done" }) })
      yield* plane.submit("a/x", Input.prompt("go"))
    }))

  it.scoped("takes an agent with the store's own SqlClient, and one with none", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const context = yield* Layer.build(BurrowSqlite.layer({ filename }))
      const plane = Context.get(context, ControlPlane)
      yield* Effect.provide(plane.register("a", { apply: () => Effect.void }), context)
      yield* plane.register("b", { apply: () => Effect.void })
    }))

  it.scoped("over memory takes an agent with any SqlClient", () =>
    Effect.gen(function*() {
      const { registered } = yield* register(Burrow.layerMemory, yield* connect(":memory:"))
      assert.strictEqual(registered._tag, "Right")
    }))
})
