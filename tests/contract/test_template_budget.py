"""The budget in template.yaml: whom it tells, and when."""

from typing import Any

from tests.fakes.expanded_template import as_list, expanded, resources, source


def budget() -> dict[str, Any]:
    (found,) = resources("AWS::Budgets::Budget").values()
    return found


def test_the_budget_is_the_months_cost_up_to_the_parameter() -> None:
    assert budget()["Budget"] == {
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": {"Ref": "BudgetUsd"}, "Unit": "USD"},
    }
    parameter = source()["Parameters"]["BudgetUsd"]
    assert (parameter["Type"], parameter["MinValue"]) == ("Number", 0)
    assert "80 %" in parameter["Description"]


def test_it_tells_a_topic_of_the_stack_when_80_percent_are_spent() -> None:
    (told,) = budget()["NotificationsWithSubscribers"]
    assert told["Notification"] == {
        "NotificationType": "ACTUAL",
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": 80,
    }
    (subscriber,) = told["Subscribers"]
    assert subscriber["SubscriptionType"] == "SNS"
    assert subscriber["Address"]["Ref"] in resources("AWS::SNS::Topic")


def test_the_topic_lets_the_budgets_of_this_account_publish() -> None:
    """A topic without this statement drops what AWS Budgets sends it, and nobody hears of that."""
    (told,) = budget()["NotificationsWithSubscribers"]
    topic = told["Subscribers"][0]["Address"]
    policies = [one for one in expanded()["Resources"].values() if one["Type"] == "AWS::SNS::TopicPolicy"]
    allowed = [
        (policy.get("Condition", "HasBudget"), statement)
        for policy in policies
        if policy["Properties"]["Topics"] == [topic]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "budgets.amazonaws.com" in as_list(statement["Principal"]["Service"])
    ]
    ((condition, statement),) = allowed
    assert condition == "HasBudget", "the policy is there whenever the budget is"
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Allow", "sns:Publish", topic)
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_somebody_hears_of_the_topic_by_e_mail() -> None:
    """The address is a parameter; where it is empty, there is no subscription."""
    (told,) = budget()["NotificationsWithSubscribers"]
    mailed = [one for one in resources("AWS::SNS::Subscription").values() if one["Protocol"] == "email"]
    assert told["Subscribers"][0]["Address"] in [one["TopicArn"] for one in mailed]
    for one in mailed:
        assert one["Endpoint"]["Ref"] in source()["Parameters"]
