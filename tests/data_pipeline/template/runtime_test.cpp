// Objects of a template that hold each other in a ring are freed with the runtime.
#include "data_pipeline/template/runtime.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>

namespace breakeven::jinja {
namespace {

// Whether `made`, of which the caller keeps nothing, is freed with the runtime in which
// `close_ring` made it hold itself.
template <typename T>
bool IsFreed(std::shared_ptr<T> made,
             const std::function<void(Runtime&, const Object&)>& close_ring) {
  const std::weak_ptr<T> watched = made;
  auto runtime = std::make_unique<Runtime>(TemplateOptions{});
  close_ring(*runtime, Object(std::move(made)));
  EXPECT_FALSE(watched.expired()) << "there was no ring";
  runtime.reset();
  return watched.expired();
}

TEST(TemplateRuntime, ANamespaceWithItsOwnMissingFieldIsFreed) {
  EXPECT_TRUE(IsFreed(std::make_shared<NamespaceObject>(), [](Runtime& runtime, const Object& ns) {
    const Object missing = runtime.GetAttribute(ns, "x");
    runtime.AboutToHold(ns, missing);
    ns.get<NamespaceObject>()->attributes.Set(Object("n"), missing);
  }));
}

TEST(TemplateRuntime, AListWithItsOwnMethodIsFreed) {
  EXPECT_TRUE(IsFreed(std::make_shared<ListObject>(), [](Runtime& runtime, const Object& list) {
    const Object append = runtime.GetAttribute(list, "append");
    append.get<CallableObject>()->call(runtime, {.positional = {append}, .named = {}});
  }));
}

TEST(TemplateRuntime, ADictWithItsOwnMissingItemIsFreed) {
  EXPECT_TRUE(IsFreed(std::make_shared<DictObject>(), [](Runtime& runtime, const Object& dict) {
    const Object missing = runtime.GetItem(dict, Object("x"));
    runtime.GetAttribute(dict, "update")
        .get<CallableObject>()
        ->call(runtime, {.positional = {}, .named = {{"k", missing}}});
  }));
}

TEST(TemplateRuntime, ALoopThatWatchesItselfIsFreed) {
  EXPECT_TRUE(IsFreed(std::make_shared<LoopObject>(), [](Runtime& runtime, const Object& loop) {
    runtime.GetAttribute(loop, "changed")
        .get<CallableObject>()
        ->call(runtime, {.positional = {loop}, .named = {}});
  }));
}

TEST(TemplateRuntime, AChangedContainerOutsideOfARingLivesAsLongAsItsNames) {
  Runtime runtime{TemplateOptions{}};
  auto made = std::make_shared<ListObject>();
  const std::weak_ptr<ListObject> watched = made;
  runtime.AboutToHold(Object(std::move(made)), Object::Tuple({}));
  EXPECT_TRUE(watched.expired());
}

TEST(TemplateRuntime, AListThatWouldShowItselfIsRefused) {
  Runtime runtime{TemplateOptions{}};
  const Object list = Object::List({});
  EXPECT_THROW(runtime.AboutToHold(list, list), EvalError);
  EXPECT_THROW(runtime.AboutToHold(list, Object::Tuple({list})), EvalError);
  runtime.AboutToHold(list, Object("text"));
  // Also where a method keeps the same thing alive.
  const Object holder = Object::List({list});
  const Object method = runtime.GetAttribute(holder, "append");
  runtime.AboutToHold(list, method);
  EXPECT_THROW(runtime.AboutToHold(list, Object::Tuple({method, holder})), EvalError);
}

}  // namespace
}  // namespace breakeven::jinja
