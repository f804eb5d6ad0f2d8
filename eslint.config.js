import { defineConfig } from "eslint/config"
import tseslint from "typescript-eslint"

/** Calls of `object.name`, and references to it. */
const member = (object, name) => `MemberExpression[object.name='${object}'][property.name=${name}]`

const bans = [
  {
    selector: member("Effect", "/^(orDie|orDieWith)$/"),
    message: "Every failure is a typed value: add the error to the channel, or map it to one of the method's errors."
  },
  {
    selector: member("Effect", "/^(runSync|runSyncExit|runPromise|runPromiseExit|runFork|runCallback)$/"),
    message:
      "Do not start a runtime of your own: capture the caller's with Effect.runtime and use Runtime.runFork(runtime)."
  },
  {
    selector:
      "ImportDeclaration[source.value='effect/Effect'][importKind!='type'] > ImportSpecifier[importKind!='type']",
    message: "Import the module as a namespace: import * as Effect from \"effect/Effect\"."
  },
  {
    selector: "ImportDeclaration[source.value='effect/Effect'] > ImportNamespaceSpecifier[local.name!='Effect']",
    message: "Name the namespace Effect: import * as Effect from \"effect/Effect\"."
  },
  {
    selector: `${member("Date", "'now'")}, ${member("performance", "'now'")}`,
    message: "Take the time from Clock (Clock.currentTimeMillis), which tests can move; core gets it in the command."
  },
  {
    selector: ":matches(NewExpression, CallExpression)[callee.name='Date'][arguments.length=0]",
    message: "Take the time from Clock (Clock.currentTimeMillis), which tests can move; core gets it in the command."
  },
  {
    selector: member("Math", "'random'"),
    message: "Use Random for jitter and the IdGenerator service for ids; both can be seeded in tests."
  },
  {
    selector: "MemberExpression[property.name='randomUUID'], ImportSpecifier[imported.name='randomUUID']",
    message: "Take ids from the IdGenerator service."
  },
  {
    selector: "MemberExpression[object.name='console']",
    message: "Log with Effect.log, Effect.logWarning ..., annotated with the runtime's id."
  }
]

// One function owns transactions.
const transactionBan = {
  selector: "MemberExpression[property.name='withTransaction']",
  message: "Transactions are opened by transact (src/layers/sql/transact.ts) alone."
}

const nodeGlobalNames = ["Buffer", "process", "global", "require", "__dirname", "__filename", "setImmediate"]
const nodeGlobals = nodeGlobalNames.map((name) => ({
  name,
  message: "src is platform-neutral: use the services of @effect/platform, or what every JavaScript engine has."
}))

const barrels = ["effect", "@effect/platform", "@effect/sql", "@effect/experimental"].map((name) => ({
  name,
  message: `Import the single module: import * as X from "${name}/X".`
}))

export default defineConfig(
  { ignores: ["dist/", "node_modules/", "coverage/", ".examples/", "test-report/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.{js,mjs,cjs,ts}"],
    extends: [tseslint.configs.base],
    rules: {
      "eqeqeq": "error",
      "no-constant-condition": ["error", { checkLoops: false }],
      "no-debugger": "error",
      "no-dupe-else-if": "error",
      "no-fallthrough": "error",
      "no-self-assign": "error",
      "no-self-compare": "error",
      "no-sparse-arrays": "error",
      "no-unsafe-finally": "error",
      "no-unused-labels": "error",
      "no-useless-escape": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }]
    }
  },
  {
    files: ["**/*.ts"],
    rules: {
      "@typescript-eslint/ban-ts-comment": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
      "@typescript-eslint/no-non-null-asserted-optional-chain": "error"
    }
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      "@typescript-eslint/array-type": ["error", { default: "generic", readonly: "generic" }],
      "@typescript-eslint/no-explicit-any": "error",
      "no-restricted-globals": ["error", ...nodeGlobals],
      "no-restricted-imports": ["error", { paths: barrels }],
      "no-restricted-syntax": ["error", ...bans, transactionBan]
    }
  },
  {
    files: ["src/layers/sql/transact.ts"],
    rules: { "no-restricted-syntax": ["error", ...bans] }
  }
)
