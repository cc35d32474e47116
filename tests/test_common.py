from sklearn.utils.estimator_checks import parametrize_with_checks

from sknas import NASClassifier, NASRegressor


@parametrize_with_checks(
    [
        NASClassifier(),
        NASClassifier(
            strategy="random",
            ensemble_size=1,
            search_epochs=3,
            n_candidates=4,
            max_epochs=30,
        ),
        NASRegressor(),
    ]
)
def test_it_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)
