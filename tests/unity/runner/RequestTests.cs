using System;
using System.Text;

namespace Gamedojo.Tests
{
    static class RequestTests
    {
        static readonly RemotePolicySettings Settings = new RemotePolicySettings { Url = "http://h", Policy = "p" };

        public static void ABatchIsGroupedBySensor()
        {
            Observation one = new Observation().Set("ray", new[] { 1f, 2f }).Set("grid", new[] { 1f, 2f, 3f, 4f }, 2, 2);
            Observation two = new Observation().Set("ray", new[] { 3f, 4f }).Set("grid", new[] { 5f, 6f, 7f, 8f }, 2, 2);
            Check.Equal(
                "{\"observations\":{\"ray\":[[1,2],[3,4]],\"grid\":[[[1,2],[3,4]],[[5,6],[7,8]]]},\"deterministic\":true}",
                Body(Settings, one, two));
        }

        public static void SensorsByOrderAreAList()
        {
            Observation one = new Observation().Add(new[] { 1f }).Add(new[] { 2f, 3f });
            Check.Equal("{\"observations\":[[[1]],[[2,3]]],\"deterministic\":true}", Body(Settings, one));
        }

        public static void BehaviorMasksAndSamplingAreTold()
        {
            var settings = new RemotePolicySettings { Behavior = "Goalie", Deterministic = false };
            Observation masked = Observation.Of(new[] { 1f }).Allow(new[] { true, false, true });
            Check.Equal(
                "{\"behavior\":\"Goalie\",\"observations\":[[[1],[2]]],\"action_masks\":[[1,0,1],[1,1,1]]," +
                "\"deterministic\":false}",
                Body(settings, masked, Observation.Of(new[] { 2f })));
        }

        public static void ASensorThatIsSetAgainIsReplaced()
        {
            Observation one = new Observation().Set("a", new[] { 1f }).Set("b", new[] { 2f }).Set("a", new[] { 3f, 4f });
            Check.Equal("{\"observations\":{\"a\":[[3,4]],\"b\":[[2]]},\"deterministic\":true}", Body(Settings, one));
        }

        public static void WhatCannotBeRightIsRefusedByName()
        {
            Refused("one agent at least");
            Refused("observes nothing", new Observation());
            Refused("'a' [1] where the first has 'b' [1]", Named("b", 1f), Named("a", 1f));
            Refused("'a' [2] where the first has 'a' [1]", Named("a", 1f), Named("a", 1f, 2f));
            Refused("has 2 sensors, the first has 1", Named("a", 1f), Named("a", 1f).Set("b", new[] { 1f }));
            Refused("'a' [3]: number 1 is NaN", Named("a", 1f, float.NaN, 2f));
            Refused("number 0 is negative infinite", Named("a", float.NegativeInfinity));
            Refused(
                "masks 2 choices, an agent before it 3",
                Named("a", 1f).Allow(new bool[3]),
                Named("a", 1f).Allow(new bool[2]));
        }

        public static void AShapeHoldsItsNumbers()
        {
            Refuses("the shape [2, 2] holds 4 numbers, 3 given", () => new Observation().Set("a", new float[3], 2, 2));
            Refuses("empty axis", () => new Observation().Set("a", new float[0]));
            Refuses("needs a name", () => new Observation().Set("", new float[1]));
            Refuses("has no values", () => new Observation().Add(null));
            Refuses("by name (Set), or all by order", () => new Observation().Set("a", new float[1]).Add(new float[1]));
        }

        public static void ARequestAboveTheLimitIsNotSent()
        {
            var values = new float[200000];
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = 0.123456789f + i;
            }
            Observation one = Observation.Of(values);
            Refused("at most 3145728 are taken", one, one, one);
        }

        public static void SettingsAreChecked()
        {
            Unfit("Url", new RemotePolicySettings { Url = "example.org", Policy = "p" });
            Unfit("Url", new RemotePolicySettings { Url = "ftp://example.org", Policy = "p" });
            Unfit("Url", new RemotePolicySettings { Url = "https://example.org?a=b", Policy = "p" });
            Unfit("Policy", new RemotePolicySettings { Url = "https://example.org" });
            Unfit("Policy", new RemotePolicySettings { Url = "https://example.org", Policy = "My Game" });
            Unfit("Policy", new RemotePolicySettings { Url = "https://example.org", Policy = "basic\n" });
            Unfit("ApiKey", new RemotePolicySettings { Url = "https://example.org", Policy = "p", ApiKey = "a\nb" });
            Unfit("Timeout", new RemotePolicySettings { Url = "https://example.org", Policy = "p", Timeout = TimeSpan.Zero });
            Unfit("MaxInFlight", new RemotePolicySettings { Url = "https://example.org", Policy = "p", MaxInFlight = 0 });
            Unfit("MaxRetries", new RemotePolicySettings { Url = "https://example.org", Policy = "p", MaxRetries = -1 });
            var settings = new RemotePolicySettings { Url = "https://example.org/prod/", Policy = "basic" };
            Check.Equal("https://example.org/prod/policies/basic/predict", settings.Check().AbsoluteUri);
        }

        static Observation Named(string sensor, params float[] values) => new Observation().Set(sensor, values);

        static string Body(RemotePolicySettings settings, params Observation[] agents) =>
            Encoding.UTF8.GetString(RequestBody.Write(settings, agents));

        static void Refused(string why, params Observation[] agents) => Refuses(why, () => Body(Settings, agents));

        static void Refuses(string why, Action action) =>
            Check.Contains(why, Check.Throws<InvalidInputException>(action).Message);

        static void Unfit(string setting, RemotePolicySettings settings) =>
            Refuses("The setting " + setting + " ", () => settings.Check());
    }
}
